/** Constraints of profiles as functions over a well-formed element: true when they hold. Their FHIRPath stands in the profiles. */

import { CANONICAL, identifierSystem } from '../../model/identifier.ts'
import { isAllowedUnit, METRIC_CODES, OBSERVATION_CATEGORIES, UCUM } from '../words/code-allow-list.ts'
import { fillsPeriod, isTokenText } from './sampled-data.ts'
import { choiceOf, codings, has, isNode, type Node, nodesOf } from './walk.ts'

export interface ProfileInvariant {
  holds (value: unknown): boolean
  says: string
}

function must (says: string, holds: (node: Node) => boolean): ProfileInvariant {
  return { says, holds: value => !isNode(value) || holds(value) }
}

const PROVENANCE = `${CANONICAL}/StructureDefinition/processing-provenance`
const WINDOW = `${CANONICAL}/StructureDefinition/window`
const TO_REPRODUCE = ['deficit-threshold', 'deficit-max-gap', 'deficit-algorithm', 'coverage-fraction']

export const PROFILE_INVARIANTS: Readonly<Record<string, ProfileInvariant>> = {
  'vs-1': { says: 'the time is given to the day', holds: value => typeof value !== 'string' || value.length >= 10 },
  'vs-2': must('a value, a dataAbsentReason, components or members', node =>
    has(node, 'component') || has(node, 'hasMember') || isMeasuredOrAbsent(node)),
  'vs-3': must('a component has a value or a dataAbsentReason', isMeasuredOrAbsent),
  'oxb-tissue-1': must('tissue oxygen has codes of its own system and is no vital sign', node =>
    codings(node['code']).every(({ system }) => system === METRIC_CODES) &&
    nodesOf(node['category']).flatMap(codings).every(({ system, code }) => system !== OBSERVATION_CATEGORIES && code !== 'vital-signs')),
  'oxb-provenance-1': must('says what it was made of', node => countExtensions(node, PROVENANCE) > 0),
  'oxb-window-1': must('names its window once', node => countExtensions(node, WINDOW) === 1),
  'oxb-value-1': must('a value, or why there is none', isMeasuredOrAbsent),
  'oxb-unit-1': must('a component is measured in an allowed UCUM unit', ({ valueQuantity }) =>
    !isNode(valueQuantity) || (valueQuantity['system'] === UCUM && isDerivedUnit(String(valueQuantity['code'])))),
  'oxb-sampled-1': must('every token is a decimal, E, L or U, one space apart', ({ data }) =>
    typeof data === 'string' && isTokenText(data) && !/[0-9][eE]/.test(data)),
  'oxb-sampled-2': must('the tokens fill the effectivePeriod', fillsPeriod),
  'oxb-deficit-1': must('threshold, largest gap, algorithm and coverage are needed to reproduce it', node =>
    TO_REPRODUCE.every(wanted => nodesOf(node['component']).filter(component => codings(component['code']).some(({ code }) => code === wanted)).length === 1)),
  'oxb-derivation-2': must('one agent assembled it', node =>
    nodesOf(node['agent']).filter(({ type }) => codings(type).some(({ code }) => code === 'assembler')).length === 1),
  'oxb-derivation-1': must('targets are versions, or stand in the same Bundle', node =>
    nodesOf(node['target']).every(({ reference }) => typeof reference !== 'string' || /\/_history\/|^urn:uuid:/.test(reference))),
  'oxb-device-1': must('has one telemetry-device identifier with a value', node => countIdentifiers(node, 'telemetry-device') === 1),
  'oxb-software-1': must('has a software identifier with a value', node => countIdentifiers(node, 'software') > 0),
  'oxb-metric-1': must('its unit has one UCUM code', ({ unit }) =>
    codings(unit).filter(({ system, code }) => system === UCUM && code !== undefined).length === 1)
}

/** What FHIRPath of both other judges cannot say. */
export const IN_CODE_ONLY: Readonly<Record<string, readonly string[]>> = {
  [`${CANONICAL}/StructureDefinition/tissue-oxygen-sampled`]: ['oxb-sampled-2']
}

function isMeasuredOrAbsent (node: Node): boolean { return has(node, 'dataAbsentReason') || choiceOf(node, 'value') !== undefined }

function countExtensions (node: Node, url: string): number { return nodesOf(node['extension']).filter(extension => extension['url'] === url).length }

function countIdentifiers (node: Node, kind: Parameters<typeof identifierSystem>[0]): number {
  const wanted = identifierSystem(kind)
  return nodesOf(node['identifier']).filter(({ system, value }) => system === wanted && value !== undefined).length
}

function isDerivedUnit (code: string): boolean { return code === 'min' || isAllowedUnit(code.replace(/[/.]min$/, '')) }
