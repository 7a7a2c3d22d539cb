"""A client that is not ours against the authorization server: Authlib, as a backend service by key and as a program that a
person lets in. `keys FOLDER` makes a key pair; `run FILE` goes through both and prints YES."""
import html, json, pathlib, re, sys, time
from urllib.parse import urljoin
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey, RSAKey


class FourMinutes(PrivateKeyJWT):
    """Authlib's assertions last an hour unless told otherwise, and claims that it is told once keep their `jti`."""

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 240}
        return super().sign(auth, token_endpoint)


def need(fine, text):
    if not fine:
        raise AssertionError(text)


def keys(folder):
    pair = {"RS384": rsa.generate_private_key(65537, 2048), "ES384": ec.generate_private_key(ec.SECP384R1())}
    public = []
    for alg, key in pair.items():
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{alg}.pem").write_bytes(pem)
        kind = RSAKey if alg == "RS384" else ECKey
        public.append(kind.import_key(pem).as_dict(private=False) | {"kid": alg, "use": "sig", "alg": alg})
    (folder / "jwks.json").write_text(json.dumps({"keys": public}))


def backend(asked, said, fhir):
    for alg in ("RS384", "ES384"):
        key = (RSAKey if alg == "RS384" else ECKey).import_key(pathlib.Path(asked["keys"], f"{alg}.pem").read_text())
        proof = FourMinutes(said["token_endpoint"], headers={"kid": alg}, alg=alg)
        session = OAuth2Session(asked["backend"], key, token_endpoint_auth_method=proof,
                                revocation_endpoint_auth_method=proof, scope="system/*.rs")
        session.verify, session.trust_env = asked["ca"], False
        token = session.fetch_token(asked["url"] + "/auth/token", grant_type="client_credentials")
        need(token["token_type"] == "Bearer" and token["scope"] == "system/*.rs", token)
        need(session.get(fhir + "/Patient/pat-ed").json()["id"] == "pat-ed", alg)
        told = session.introspect_token(asked["url"] + "/auth/introspect", token=token["access_token"]).json()
        need(told["active"] and told["client_id"] == asked["backend"], told)
        gone = session.revoke_token(asked["url"] + "/auth/revoke", token=token["access_token"])
        need(gone.status_code == 200, gone.text)
        told = session.introspect_token(asked["url"] + "/auth/introspect", token=token["access_token"]).json()
        need(told == {"active": False}, told)
        bearer = {"Authorization": "Bearer " + token["access_token"]}
        need(requests.get(fhir + "/Patient/pat-ed", headers=bearer, verify=asked["ca"]).status_code == 401, alg)


def form(page, ends):
    """Where a form of a page leads, and its hidden fields."""
    for action, inner in re.findall(r'<form method="post" action="([^"]*)">(.*?)</form>', page.text, re.S):
        action = html.unescape(action)
        if action.split("?")[0].endswith(ends):
            fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', inner))
            return urljoin(page.url, action), {n: html.unescape(v) for n, v in fields.items()}
    raise AssertionError(f"no form {ends}: {page.text}")


def launched(asked, said, fhir):
    need("S256" in said["code_challenge_methods_supported"] and "plain" not in said["code_challenge_methods_supported"], said)
    back = "http://127.0.0.1:49152/callback"
    session = OAuth2Session(asked["app"], redirect_uri=back, scope="launch/patient patient/*.rs",
                            token_endpoint_auth_method="none", revocation_endpoint_auth_method="none", code_challenge_method="S256")
    session.verify, session.trust_env = asked["ca"], False
    verifier = "v" * 64
    address, state = session.create_authorization_url(asked["url"] + "/auth/authorize", code_verifier=verifier,
                                                      aud=said["authorization_endpoint"].rsplit("/auth/", 1)[0] + "/fhir")
    browser = requests.Session()
    browser.verify, browser.trust_env = asked["ca"], False
    origin = {"Origin": asked["url"]}
    door = browser.get(address)
    page = browser.get(urljoin(door.url, html.unescape(re.search(r'content="0;url=([^"]*)"', door.text)[1])))
    to, fields = form(page, "/sign-in")
    page = browser.post(to, data=fields | {"user": "nina", "secret": asked["secret"]}, headers=origin)
    to, fields = form(page, "/find")
    page = browser.post(to, data=fields | {"name": "Testperson"}, headers=origin)
    need('value="pat-ed"' in page.text, page.text)
    to, fields = form(page, "/answer")
    gone = browser.post(to, data=fields | {"patient": "pat-ed", "answer": "allow"}, headers=origin, allow_redirects=False)
    need(gone.status_code == 303 and gone.headers["location"].startswith(back), gone.headers)
    token = session.fetch_token(asked["url"] + "/auth/token", authorization_response=gone.headers["location"], state=state,
                                code_verifier=verifier)
    need(token["patient"] == "pat-ed" and token["scope"] == "launch/patient patient/*.rs", token)
    need(session.get(fhir + "/Patient/pat-ed").json()["id"] == "pat-ed", "its patient")
    need(session.get(fhir + "/Patient/pat-two").status_code == 404, "another")
    need(session.revoke_token(asked["url"] + "/auth/revoke", token=token["access_token"]).status_code == 200, "given back")
    need(session.get(fhir + "/Patient/pat-ed").status_code == 401, "over")


if sys.argv[1] == "keys":
    keys(pathlib.Path(sys.argv[2]))
else:
    asked = json.loads(pathlib.Path(sys.argv[2]).read_text())
    fhir = asked["url"] + "/fhir"
    said = requests.get(fhir + "/.well-known/smart-configuration", verify=asked["ca"]).json()
    backend(asked, said, fhir)
    launched(asked, said, fhir)
print("YES")
