/** The limit of P12: a SampledData(60) Observation as a plain object tree, built and stringified. */

const SAMPLES = 60

/** The text of one Observation; `n` makes each different. */
export function plainObservation (n: number): string {
  const samples: string[] = []
  for (let i = 0; i < SAMPLES; i++) samples.push(((300 + (n * 37 + i * 13) % 200) / 10).toFixed(1))
  const start = Date.UTC(2026, 0, 1) + n * 60_000
  return JSON.stringify({
    resourceType: 'Observation',
    id: `00000000-0000-8000-8000-${String(n).padStart(12, '0')}`,
    meta: { versionId: '1', lastUpdated: new Date(start + 95_000).toISOString(), profile: ['https://oxbow-fhir.github.io/ig/StructureDefinition/tissue-oxygen-samples'] },
    identifier: [{ system: 'https://oxbow-fhir.github.io/ig/identifier/telemetry-window', value: `association-${n % 1_000}/tissue-po2/${new Date(start).toISOString()}/PT1M` }],
    status: 'final',
    category: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' }] }],
    code: { coding: [{ system: 'https://oxbow-fhir.github.io/ig/CodeSystem/tissue-oxygen-metric', code: 'tissue-po2', display: 'Tissue oxygen partial pressure' }] },
    subject: { reference: `Patient/patient-${n % 1_000}` },
    effectivePeriod: { start: new Date(start).toISOString(), end: new Date(start + 59_000).toISOString() },
    issued: new Date(start + 95_000).toISOString(),
    device: { reference: `DeviceMetric/metric-${n % 1_000}` },
    valueSampledData: {
      origin: { value: 0, unit: 'mmHg', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' }, period: 1_000, factor: 1, lowerLimit: 0, upperLimit: 160, dimensions: 1, data: samples.join(' ')
    }
  })
}
