/** The image itself: its user, tools, size and layers, and the package in a container of its base. */
import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {z} from 'zod';
import {baseImage, buildahOf, image, must, npmEnvironment} from '../support/container-image.js';
import {buildahRun, dockerRun, host, imageSettings, imageUser, userFolder} from '../support/container.js';

const buildah = buildahOf(host);

it('runs as a user who is not root, in a folder of that user', async () => {
  expect(await imageSettings()).toMatchObject({
    User: `${imageUser}:${imageUser}`,
    WorkingDir: '/data',
    Entrypoint: ['destino-db'],
  });
  const facts = await buildahRun([
    'sh',
    '-c',
    'id --user; id --groups; touch /data/x && echo data; touch /opt/x || echo no',
  ]);
  expect(facts.stdout).toBe(`${imageUser}\n${imageUser}\ndata\nno\n`);
});

it('has the program, and client tools that it finds', async () => {
  expect((await buildahRun(['destino-db', '--version'])).stdout).toMatch(/^destino-db\/\d/);
  const tools = await buildahRun(['sh', '-c', 'pg_dump --version && pg_restore --version && psql --version']);
  expect(tools.stdout.match(/\(PostgreSQL\) \d+/g)).toHaveLength(3);
  expect((await buildahRun(['sh', '-c', 'ls -A /var/lib/apt/lists'])).stdout).toBe('');
});

it('has no secret in its layers and settings, though secrets are stored next to the package', async () => {
  const archive = join(host.folder, 'image.tar');
  await must([...buildah, 'push', '--quiet', image, `docker-archive:${archive}`]);
  // The layers in the archive are not compressed.
  const holds = async (text: string): Promise<boolean> =>
    (await must(['sh', '-c', `grep --count --text --fixed-strings -e '${text}' ${archive} || true`])) !==
    '0\n';
  expect(await holds(`destino:x:${imageUser}`)).toBe(true);
  for (const secret of host.secrets) expect([secret, await holds(secret)]).toEqual([secret, false]);
  await rm(archive);
});

it('has a limited size, which is printed', async () => {
  const sizes = z
    .array(z.object({names: z.array(z.string()).nullish(), size: z.string()}))
    .parse(JSON.parse(await must([...buildah, 'images', '--json'])));
  const sizeOf = (name: string): string =>
    sizes.find(({names}) => names?.some((found) => found.startsWith(name)))?.size ?? '';
  process.stdout.write(`image ${sizeOf(image)}, of which its base ${sizeOf(baseImage)}\n`);
  expect(sizeOf(image)).toMatch(/^\d+ MB$/);
  expect(Number.parseInt(sizeOf(image), 10) - Number.parseInt(sizeOf(baseImage), 10)).toBeLessThan(350);
});

it('writes only to mounted folders and /tmp when the root folder is read-only', async () => {
  const folder = await userFolder();
  const listed = await dockerRun(['list', '--json'], {
    tmpfs: ['/tmp'],
    volumes: [[join(folder, 'backups'), '/data/backups']],
  });
  expect(listed.status).toBe(0);
  expect(listed.stderr).toBe('');
  const refused = await dockerRun(['init', '--yes'], {
    tmpfs: ['/tmp'],
    volumes: [[join(folder, 'backups'), '/data/backups']],
  });
  expect(refused.stderr).toMatch(/read-only|EROFS|cannot be written/i);
  expect(await readdir(join(folder, 'backups'))).toEqual([]);
});

it('npm installs the packed program for everybody on the base, and it runs', async () => {
  const container = (await must([...buildah, 'from', baseImage])).trim();
  const npm = (await must(['npm', 'root', '--global'])).trim();
  await must([...buildah, 'add', '--quiet', container, join(npm, 'npm'), '/usr/local/lib/node_modules/npm']);
  await must([
    ...buildah,
    'add',
    '--quiet',
    container,
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/ssl/certs/ca-certificates.crt',
  ]);
  const [packed = ''] = (await readdir(host.folder)).filter((name) => name.endsWith('.tgz'));
  const env = npmEnvironment();
  const run = (line: string): Promise<string> =>
    must(
      [
        ...buildah,
        'run',
        '--isolation=chroot',
        ...Object.entries(env).map(([name, value]) => `--env=${name}=${value}`),
        `--volume=${join(host.folder, packed)}:/srv/${packed}:ro`,
        container,
        '--',
        'sh',
        '-euc',
        line,
      ],
      env,
    );
  await run(
    `node /usr/local/lib/node_modules/npm/bin/npm-cli.js install --global --prefix /usr/local --no-audit --no-fund /srv/${packed}`,
  );
  expect(await run('destino-db --version')).toMatch(/^destino-db\/\d/);
  expect(await run('destino-db backup --help')).toContain('USAGE');
  expect(JSON.parse(await run('cd /tmp && destino-db list --json'))).toMatchObject({backups: []});
  await must([...buildah, 'rm', container]);
});
