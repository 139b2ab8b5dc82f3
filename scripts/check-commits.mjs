// Checks commit messages by the rules of docs/style.md: those of the commits that origin/main (or main) lacks.
// usage: node scripts/check-commits.mjs [RANGE | --message FILE]
// With --message it checks one message, and so works as git's commit-msg hook.
import {readFile} from 'node:fs/promises';
import {execa} from 'execa';

function report(name, message) {
  const [subject = '', blank, ...body] = message.trimEnd().split('\n');
  const faults = [];
  if ([...subject].length > 72) faults.push('the subject has more than 72 characters');
  if (!/^\p{Lu}/u.test(subject)) faults.push('the subject does not begin with a capital letter');
  if (/[.!]$/u.test(subject)) faults.push('the subject ends with a full stop');
  if (blank !== '' || body.join('').trim() === '') faults.push('the body that says why is missing');
  for (const fault of faults) console.log(`${name} ${subject}: ${fault}`);
  if (faults.length > 0) process.exitCode = 1;
}

async function range() {
  for (const base of ['origin/main', 'main']) {
    const {failed} = await execa('git', ['rev-parse', '--verify', '--quiet', base], {reject: false});
    if (!failed) return `${base}..HEAD`;
  }
  return undefined;
}

const [first, file] = process.argv.slice(2);
if (first === '--message') {
  const text = await readFile(file, 'utf8');
  report('message', text.replaceAll(/^#.*\n?/gmu, ''));
} else {
  const commits = first ?? (await range());
  if (commits === undefined) console.log('not checked: there is no main branch to compare with');
  else {
    const {stdout} = await execa('git', ['log', '--no-merges', '-z', '--format=%h%n%B', commits]);
    for (const commit of stdout.split('\0').filter((text) => text !== ''))
      report(commit.slice(0, commit.indexOf('\n')), commit.slice(commit.indexOf('\n') + 1));
  }
}
