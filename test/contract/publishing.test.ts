/** Publishing to npm: a workflow with a statement of provenance, and texts that do not assume that the name is registered. */
import {readdirSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {expect, it} from 'vitest';
import {parse} from 'yaml';
import {z} from 'zod';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(root + path, 'utf8');

const workflowSchema = z.object({
  on: z.object({release: z.object({types: z.array(z.string())})}),
  permissions: z.record(z.string(), z.string()),
  jobs: z.object({
    publish: z.object({
      permissions: z.record(z.string(), z.string()),
      steps: z.array(
        z.object({run: z.string().optional(), env: z.record(z.string(), z.string()).optional()}),
      ),
    }),
  }),
});
const workflow = workflowSchema.parse(parse(read('.github/workflows/publish.yml')));
const {steps} = workflow.jobs.publish;
const scripts = z.object({scripts: z.record(z.string(), z.string()), publishConfig: z.unknown()});
const manifest = scripts.parse(JSON.parse(read('package.json')));

it('the workflow publishes releases with a statement of provenance, and no step before it gets the token', () => {
  expect(workflow.on.release.types).toEqual(['published']);
  expect(workflow.permissions).toEqual({contents: 'read'});
  expect(workflow.jobs.publish.permissions).toEqual({contents: 'read', 'id-token': 'write'});
  expect(steps.at(-1)?.run).toBe('npm publish --provenance --access public');
  for (const step of steps.slice(0, -1)) expect(JSON.stringify(step)).not.toContain('secrets.');
  expect(manifest.publishConfig).toEqual({access: 'public', provenance: true});
});

it('the workflow runs scripts of the package, and no text of an event becomes part of a command', () => {
  const commands = steps.flatMap(({run}) => run ?? []);
  for (const command of commands) expect(command).not.toContain('${{');
  const called = commands.flatMap((command) => /^npm run ([\w:]+)$/.exec(command)?.[1] ?? []);
  expect(called).not.toEqual([]);
  for (const name of called) expect(manifest.scripts).toHaveProperty([name]);
});

it('no text installs or runs the package by its name in the registry, which may belong to somebody else', () => {
  const sources = readdirSync(root + 'src', {recursive: true, encoding: 'utf8'})
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `src/${name}`);
  const pages = readdirSync(root + 'docs').flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : []));
  const byName =
    /\b(?:npx|pnpx|bunx|(?:npm|pnpm|yarn|bun) (?:i|install|add|exec|dlx|x|create|view|update))\b(?: -\S+)* destino-db\b(?!-)/;
  expect(byName.test('npm install --global destino-db')).toBe(true);
  expect(byName.test('npm install --global ./destino-db-0.1.0.tgz')).toBe(false);
  const found = [...sources, ...pages, 'README.md', 'CONTRIBUTING.md', 'package.json'].filter((path) =>
    byName.test(read(path)),
  );
  expect(found).toEqual([]);
  // oclif's plugin asks the registry for a newer version of that name.
  expect(read('package.json')).not.toContain('warn-if-update-available');
});
