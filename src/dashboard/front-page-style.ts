/** Style of the front page, light and dark by the browser's wish; it stands in the page itself, so that nothing is loaded. */

export const STYLE = `
:root{--ground:#f4f6f7;--card:#fff;--ink:#13232b;--soft:#5b6d76;--edge:#dde4e7;--brand:#0b7285;--brand-soft:#0b728522;--ok:#2b8a3e;--warn:#b35c00;--bad:#c92a2a;--stored:#0b7285;--suppressed:#94a9b2;--quarantined:#e8890c;--code:#eef2f4}
@media (prefers-color-scheme:dark){:root{--ground:#0e1519;--card:#162026;--ink:#e4ecef;--soft:#91a4ad;--edge:#26343b;--brand:#3bc9db;--brand-soft:#3bc9db22;--ok:#51cf66;--warn:#ffa94d;--bad:#ff6b6b;--stored:#22b8cf;--suppressed:#5b6f79;--quarantined:#ffa94d;--code:#0e1519}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
body>header,main,body>footer{max-width:1120px;margin:0 auto;padding:0 20px}
body>header{display:flex;align-items:center;gap:14px;padding-top:28px;padding-bottom:4px}
h1{margin:0;font-size:26px;line-height:1.1;letter-spacing:-.02em}
h1+p{margin:2px 0 0;color:var(--soft)}
h2{margin:30px 0 12px;font-size:13px;font-weight:600;letter-spacing:.08em;text-transform:uppercase;color:var(--soft)}
h2 small{font-weight:400;letter-spacing:0;text-transform:none;font-size:13px;margin-left:6px}
h3{margin:0 0 8px;font-size:15px}
.mark{width:46px;height:46px;fill:none;stroke:var(--brand);stroke-width:5;stroke-linecap:round}
.pills{margin-left:auto;display:flex;gap:8px;flex-wrap:wrap;justify-content:flex-end}
.pill{padding:4px 12px;border-radius:99px;font-size:13px;font-weight:600;border:1px solid currentColor}
.pill.up{color:var(--ok)}.pill.down{color:var(--bad)}.pill.demo{color:#fff;background:#7048e8;border-color:#7048e8;letter-spacing:.06em}
.parts,.alarms ul{list-style:none;margin:0;padding:0}
.parts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(300px,100%),1fr));gap:12px}
.parts li,.tile,.curves article,.next article{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:14px 16px}
.parts li{display:grid;grid-template-columns:auto 1fr auto;gap:0 9px;align-items:center}
.parts .dot{width:10px;height:10px;border-radius:50%;background:var(--ok)}
.parts .state{font-size:13px;color:var(--ok)}
.parts .detail{grid-column:2/4;font-size:13px;color:var(--soft)}
.parts .behind .dot{background:var(--warn)}.parts .behind .state{color:var(--warn)}
.parts .down .dot{background:var(--bad)}.parts .down .state{color:var(--bad)}
.alarms{margin-top:20px;border:1px solid var(--bad);border-radius:12px;padding:12px 16px;background:var(--card)}
.alarms b{color:var(--bad);margin-right:6px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px}
.tile span{color:var(--soft);font-size:13px}.tile b{display:block;font-size:28px;line-height:1.25;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
.tile small{color:var(--soft)}
.tile{border-top:3px solid var(--edge)}.tile.stored{border-top-color:var(--stored)}.tile.quarantined{border-top-color:var(--quarantined)}.tile.suppressed{border-top-color:var(--suppressed)}
.verdict{margin:14px 0;font-weight:600}.verdict:before{content:"";display:inline-block;width:10px;height:10px;border-radius:50%;background:currentColor;margin-right:9px}
.verdict.up{color:var(--ok)}.verdict.down{color:var(--bad)}
.bars{display:block;width:100%;height:auto;background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:14px 14px 8px}
.bars .ground{stroke:var(--edge);stroke-width:1}
.bars text{font-size:10px;fill:var(--soft);text-anchor:middle}
.bars .stored{fill:var(--stored)}.bars .suppressed{fill:var(--suppressed)}.bars .quarantined{fill:var(--quarantined)}
.empty{color:var(--soft)}
.scroll{overflow-x:auto;margin-top:12px;background:var(--card);border:1px solid var(--edge);border-radius:12px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 14px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--edge)}
th{font-size:13px;font-weight:600;color:var(--soft)}th:first-child,td:first-child{text-align:left}tbody tr:last-child td{border-bottom:0}
.curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(300px,100%),1fr));gap:12px}
.curves article{padding:14px 0 0;overflow:hidden;display:flex;flex-direction:column}
.curves article>header,.curves article>p,.curves article>footer{padding:0 16px}
.curves header{display:flex;justify-content:space-between;align-items:center}
.curves .demo{font-size:10px;font-weight:700;letter-spacing:.08em;color:#7048e8;border:1px solid;border-radius:4px;padding:0 5px}
@media (prefers-color-scheme:dark){.curves .demo{color:#9775fa}}
.metric{margin:0;color:var(--soft);font-size:13px}
.value{margin:2px 0 6px;font-size:30px;line-height:1.2;font-weight:600;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
.value small{font-size:14px;font-weight:400;color:var(--soft);letter-spacing:0}
.curve{display:block;width:100%;height:76px}
.curve .line{fill:none;stroke:var(--brand);stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.curve .area{fill:var(--brand-soft)}
.curve .newest{stroke:var(--brand);stroke-width:7;stroke-linecap:round}
.curves footer{display:flex;justify-content:space-between;gap:8px;color:var(--soft);font-size:12px;border-top:1px solid var(--edge);padding-top:7px!important;padding-bottom:8px!important;font-variant-numeric:tabular-nums}
.stale .value,.stale .curve{opacity:.35}.stale footer span:last-child{color:var(--warn);font-weight:600}
.next{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:12px}
.next p{margin:8px 0 0;color:var(--soft)}
pre{margin:0;padding:10px 12px;background:var(--code);border-radius:8px;overflow-x:auto;font-size:13px;line-height:1.45}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em}
a{color:var(--brand)}
body>footer{padding-top:26px;padding-bottom:30px;color:var(--soft);font-size:13px}
`
