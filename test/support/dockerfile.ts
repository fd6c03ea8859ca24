/** A Dockerfile's text → its stages and their steps, in order; enough of the language for ours, and an error for the rest. */

export interface DockerStep { word: string, rest: string }
export interface DockerStage { name: string, from: string, steps: readonly DockerStep[] }

const WORDS = new Set(['FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'VOLUME', 'EXPOSE', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD', 'ARG'])

export function parseDockerfile (text: string): DockerStage[] {
  const stages: { name: string, from: string, steps: DockerStep[] }[] = []
  const lines = text.replace(/\\\n/g, ' ').split('\n').map(line => line.trim()).filter(line => line !== '' && !line.startsWith('#'))
  for (const line of lines) {
    const [, word = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? []
    if (!WORDS.has(word)) throw new Error(`no such instruction is known here: ${line}`)
    if (word === 'FROM') {
      const [from = '', , name = ''] = rest.split(/\s+/)
      stages.push({ name, from, steps: [] })
    } else stages.at(-1)!.steps.push({ word, rest })
  }
  return stages
}
