// The runner gives these variables to JavaScript actions alone, not to the steps of a composite one
// (actions/runner, NodeScriptActionHandler). As outputs of a step inside the action they reach the
// next step of the action, and nothing else of the job.
'use strict';
const { appendFileSync } = require('node:fs');
const { randomBytes } = require('node:crypto');

const secret = { token: 'ACTIONS_RUNTIME_TOKEN', 'cache-url': 'ACTIONS_CACHE_URL' };
const open = {
  'results-url': 'ACTIONS_RESULTS_URL',
  'service-v2': 'ACTIONS_CACHE_SERVICE_V2',
  mode: 'ACTIONS_CACHE_MODE',
};

const escape = (text) => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
for (const variable of Object.values(secret)) {
  const value = process.env[variable];
  if (value) process.stdout.write(`::add-mask::${escape(value)}\n`);
}
for (const [output, variable] of Object.entries({ ...secret, ...open })) {
  const end = `end-${randomBytes(16).toString('hex')}`;
  appendFileSync(process.env.GITHUB_OUTPUT, `${output}<<${end}\n${process.env[variable] ?? ''}\n${end}\n`);
}
