/** Text from anywhere → text that is safe inside an HTML element or a quoted attribute. */

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

export function escapeHtml (text: string): string {
  return text.replace(/[&<>"']/g, symbol => ENTITIES[symbol]!)
}
