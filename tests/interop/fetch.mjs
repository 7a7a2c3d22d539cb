/**
 * Fetches OHIF as it is published: `node fetch.mjs FOLDER`. Its npm package (50 MB) brings the built viewer, but names all
 * that it was built from as dependencies; they are not needed, so it is unpacked and not installed. Version and digest are
 * in package.json. Does nothing when the folder has that version. Prints the folder of the built viewer.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const { config } = JSON.parse(await readFile(new URL('package.json', import.meta.url), 'utf8'));
if (process.argv[2] === undefined) {
  console.error('node fetch.mjs FOLDER');
  process.exit(2);
}
const to = resolve(process.argv[2], `ohif-${config.ohif}`);
if (!existsSync(to)) {
  await mkdir(dirname(to), { recursive: true });
  // Beside its place, so that it is there whole or not at all.
  const at = await mkdtemp(join(dirname(to), 'fetch-'));
  try {
    const said = execFileSync('npm', ['pack', '--json', '--silent', `@ohif/app@${config.ohif}`], { cwd: at, encoding: 'utf8', maxBuffer: 1 << 26 });
    const [packed] = Object.values(JSON.parse(said));
    const file = join(at, packed.filename);
    const digest = `sha512-${createHash('sha512').update(await readFile(file)).digest('base64')}`;
    if (digest !== config.integrity) throw new Error(`@ohif/app@${config.ohif} has ${digest}, and package.json says ${config.integrity}`);
    execFileSync('tar', ['--extract', '--gzip', '--file', file, '--directory', at]);
    await rename(join(at, 'package'), to);
  } finally {
    await rm(at, { recursive: true, force: true });
  }
}
console.log(join(to, 'dist'));
