import { expect, test } from 'vitest'
import { createRouteTable } from '../../../src/http/allowed-methods.ts'

function table () {
  const routes = createRouteTable()
  routes.add('/fhir/Patient', ['GET', 'HEAD'])
  routes.add('/fhir/Patient', ['POST'])
  routes.add('/fhir/Patient/:id', ['GET', 'PUT'])
  routes.add('/fhir/Patient/_search', ['POST'])
  return routes
}

test('every method of a path is told, in order', () => {
  expect(table().methodsAt('/fhir/Patient')).toEqual(['GET', 'HEAD', 'POST'])
  expect(table().methodsAt('/fhir/Patient/p1')).toEqual(['GET', 'PUT'])
})

test('a path named word for word is no parameter', () => {
  expect(table().methodsAt('/fhir/Patient/_search')).toEqual(['POST'])
})

test('a path that is not there takes nothing', () => {
  for (const path of ['/', '/fhir', '/fhir/Patient/', '/fhir/Patient/p1/_history', '/fhir/patient']) expect(table().methodsAt(path)).toEqual([])
})
