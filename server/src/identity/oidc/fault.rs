//! Why a sign-in by the identity provider, or one of its logout tokens, is refused.
//!
//! Lives here: one name for each reason (for the audit log) and its sentence (for the person). Never here: checks.
//! Called by all of [`super`] and by the routes.

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Not three parts of strict base64url with JSON objects in them, or too long.
    Form,
    /// Not signed by an asymmetric algorithm of the list; `none` and HMAC among them.
    Algorithm,
    /// The header says that it is another kind of token.
    Type,
    /// The header demands an extension (`crit`).
    Critical,
    /// The header brings or names a key of its own.
    KeyInToken,
    /// No key of the provider's set fits.
    UnknownKey,
    /// The signature is not by that key.
    Signature,
    /// Another issuer.
    Issuer,
    /// For somebody else, or for somebody else too.
    Audience,
    /// Asked for by another client.
    AuthorizedParty,
    /// Too old, or without an end.
    Expired,
    /// Made in the future, too long ago, or at no time.
    Issued,
    /// Not valid yet.
    NotYet,
    /// Not the answer to this sign-in.
    Nonce,
    /// Names nobody.
    Subject,
    /// The session at the provider is no text.
    Session,
    /// An ID token that speaks of events, or a logout token that does not.
    Events,
    /// A logout token without an id of its own.
    TokenId,
    /// It belongs to another access token.
    AccessHash,
    /// It belongs to another code.
    CodeHash,
    /// The person did not prove themselves just now.
    AuthTime,
    /// Not the class of authentication that is asked for.
    Acr,
    /// Not a method of authentication that is asked for.
    Amr,
    /// The claim that names the account is not there.
    Claim,
    /// It was used before.
    Replay,
    /// The provider does not take the code.
    Code,
    /// The provider's answer cannot be used.
    Answer,
    /// The provider does not answer.
    Away,
    /// Not an address that a workstation, or the console, can be called back at.
    Redirect,
    /// Not a verifier of RFC 7636.
    Verifier,
    /// Not the sign-in that was begun in this browser, or too late.
    State,
    /// There is no such account.
    NoAccount,
    /// The account is disabled.
    Disabled,
    /// The account belongs to another identity.
    OtherSubject,
    /// The identity belongs to another account.
    OtherAccount,
}

impl Fault {
    /// Its name in the audit log.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Form => "oidc-form",
            Self::Algorithm => "oidc-algorithm",
            Self::Type => "oidc-type",
            Self::Critical => "oidc-critical",
            Self::KeyInToken => "oidc-key-in-token",
            Self::UnknownKey => "oidc-unknown-key",
            Self::Signature => "oidc-signature",
            Self::Issuer => "oidc-issuer",
            Self::Audience => "oidc-audience",
            Self::AuthorizedParty => "oidc-authorized-party",
            Self::Expired => "oidc-expired",
            Self::Issued => "oidc-issued",
            Self::NotYet => "oidc-not-yet",
            Self::Nonce => "oidc-nonce",
            Self::Subject => "oidc-subject",
            Self::Session => "oidc-session",
            Self::Events => "oidc-events",
            Self::TokenId => "oidc-token-id",
            Self::AccessHash => "oidc-access-hash",
            Self::CodeHash => "oidc-code-hash",
            Self::AuthTime => "oidc-auth-time",
            Self::Acr => "oidc-acr",
            Self::Amr => "oidc-amr",
            Self::Claim => "oidc-claim",
            Self::Replay => "oidc-replay",
            Self::Code => "oidc-code",
            Self::Answer => "oidc-answer",
            Self::Away => "oidc-away",
            Self::Redirect => "oidc-redirect",
            Self::Verifier => "oidc-verifier",
            Self::State => "oidc-state",
            Self::NoAccount => "oidc-no-account",
            Self::Disabled => "account-disabled",
            Self::OtherSubject => "oidc-other-subject",
            Self::OtherAccount => "oidc-other-account",
        }
    }

    /// What the person reads: what to do, and nothing that helps whoever forges tokens beyond the name of the check.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Acr | Self::Amr => {
                "The identity provider did not ask for a second factor: sign in there with one, or ask clinical IT."
            }
            Self::AuthTime => "The identity provider did not ask who you are just now: sign in again.",
            Self::Code | Self::State | Self::Replay => {
                "This sign-in is over or was begun elsewhere: begin it again."
            }
            Self::Away => "The identity provider does not answer: use your password or PIN.",
            Self::Answer => "The identity provider's answer cannot be used: ask clinical IT.",
            Self::NoAccount => "Nobody here has this account: ask clinical IT to make it.",
            Self::Disabled => "This account is disabled: ask clinical IT.",
            Self::OtherSubject => {
                "This account belongs to another identity at the provider: ask clinical IT to let go of it."
            }
            Self::OtherAccount => {
                "This identity signed in here under another account: ask clinical IT to let go of it."
            }
            Self::Claim => "The identity provider does not say which account this is: ask clinical IT.",
            Self::Redirect => "This is not an address the provider may answer to.",
            _ => "The identity provider's token was refused: begin again; if it stays so, ask clinical IT.",
        }
    }
}
