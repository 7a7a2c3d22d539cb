/**
 * An OpenID provider for the tests: `oidc-provider`, with people who exist for them alone.
 *
 * Lives here: its configuration, the form where somebody says who they are. Never here: what is tested (tests/tests/oidc.rs).
 * Called by that test: `node provider.mjs CERT KEY`; prints {"issuer"} when its port is known, then takes one line of JSON
 * with the address for back-channel logout and prints {"ready"}. Ends with its stdin.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import Provider, { interactionPolicy } from 'oidc-provider';

const [cert, key] = process.argv.slice(2);
/** Sign-in name, password, and the second factor where somebody has one. */
const PEOPLE = {
  nina: { sub: '7f3a-nina', password: 'a long password of nina', otp: '123456' },
  stranger: { sub: '7f3a-stranger', password: 'a long password of stranger', otp: '123456' },
};

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) });
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ issuer }));
  const lines = createInterface({ input: process.stdin });
  lines.once('line', (line) => {
    serve(issuer, JSON.parse(line));
    console.log(JSON.stringify({ ready: true }));
  });
  lines.on('close', () => process.exit(0));
});

const page = (uid) => `<!doctype html><title>Sign in</title><form method="post" action="/interaction/${uid}">
<input name="login"><input name="password" type="password"><input name="otp"><button>Sign in</button></form>`;

function serve(issuer, { logout }) {
  const policy = interactionPolicy.base();
  // What this server may know is the hospital's decision, not the person's.
  policy.remove('consent');
  const client = (client_id) => ({
    client_id,
    client_secret: `the secret of ${client_id}, long enough`,
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/callback', 'https://vitrine.example/console/oidc/callback'],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    token_endpoint_auth_method: 'client_secret_basic',
    backchannel_logout_uri: logout,
    backchannel_logout_session_required: true,
  });
  const provider = new Provider(issuer, {
    clients: [client('vitrine'), client('other')],
    acrValues: ['mfa', 'pwd'],
    claims: { openid: ['sub', 'acr', 'amr', 'auth_time'], profile: ['preferred_username'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['a key of the test'] },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    // It speaks to no address of a private network on its own; the server of the test is at one.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    findAccount: (_, id) => {
      const found = Object.entries(PEOPLE).find(([, p]) => p.sub === id);
      return found && { accountId: id, claims: () => ({ sub: id, preferred_username: found[0] }) };
    },
    interactions: { policy, url: (_, interaction) => `/interaction/${interaction.uid}` },
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
    pkce: { required: () => true },
    ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 3600, IdToken: 300, Interaction: 300, Session: 3600 },
  });
  for (const event of ['backchannel.error', 'backchannel.success', 'end_session.error', 'server_error']) {
    provider.on(event, (...all) => console.error(event, ...all.filter((one) => one instanceof Error)));
  }
  const oidc = provider.callback();
  server.on('request', (request, response) => {
    const uid = /^\/interaction\/([\w-]+)$/.exec(request.url)?.[1];
    if (!uid) return oidc(request, response);
    if (request.method === 'GET') return response.setHeader('content-type', 'text/html').end(page(uid));
    let body = '';
    request.on('data', (piece) => (body += piece));
    request.on('end', () => {
      const form = new URLSearchParams(body);
      const person = PEOPLE[form.get('login')];
      if (!person || person.password !== form.get('password')) return response.setHeader('content-type', 'text/html').end(page(uid));
      const second = form.get('otp') === person.otp;
      const login = { accountId: person.sub, acr: second ? 'mfa' : 'pwd', amr: second ? ['pwd', 'otp', 'mfa'] : ['pwd'] };
      provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false }).catch((e) => {
        console.error(e);
        response.writeHead(500).end();
      });
    });
  });
}
