// @medplum/core as it is, pointed at a server of ours. NODE_EXTRA_CA_CERTS names the authority of its certificate.
// It wants a WebSocket to be there while it is loaded; it is not used.
globalThis.WebSocket ??= class {};

export async function connect(baseUrl, accessToken) {
  const core = await import("@medplum/core");
  const client = new core.MedplumClient({ baseUrl, fhirUrlPath: "fhir/", accessToken, cacheTime: 0 });
  return { core, client };
}
