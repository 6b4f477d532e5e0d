//! Keys: where they come from, and for how long they are good. Secrets are wiped when dropped and never shown.

use crate::base::clock;
use async_trait::async_trait;
use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::profile::ProfileFileRegionProvider;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// Keys are renewed so long before they expire, so that no request meets the end.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// Keys that the store refuses are looked for anew no more often: a store may refuse for other reasons, and often.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// An access key, its secret, and what belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret: Zeroizing<String>,
    /// The token of a session.
    pub session_token: Option<Zeroizing<String>>,
    /// Until when they are good; `None` for ever.
    pub expires: Option<SystemTime>,
}

impl Credentials {
    /// Keys that do not expire.
    #[must_use]
    pub fn new(access_key_id: impl Into<String>, secret: impl Into<String>) -> Self {
        let (access_key_id, secret) = (access_key_id.into(), Zeroizing::new(secret.into()));
        Self { access_key_id, secret, session_token: None, expires: None }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, ..)", self.access_key_id)
    }
}

/// No keys could be had; the text says where they were looked for and what failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoCredentials(pub String);

/// Gives keys.
#[async_trait]
pub trait CredentialsProvider: Send + Sync + 'static {
    /// Keys that are good now. Called before every request, so it must be quick when nothing changes.
    async fn credentials(&self) -> Result<Credentials, NoCredentials>;

    /// The store did not take `refused`: ask for new ones next time, if there can be other ones.
    async fn refused(&self, refused: &Credentials);
}

/// Keys that never change.
#[async_trait]
impl CredentialsProvider for Credentials {
    async fn credentials(&self) -> Result<Credentials, NoCredentials> {
        Ok(self.clone())
    }

    async fn refused(&self, _refused: &Credentials) {}
}

/// Keys from where AWS tools look: environment, profiles (also by process and web identity), container, instance.
pub struct AwsChain {
    profile: Option<String>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    credentials: Option<Credentials>,
    /// When refused keys were dropped last.
    dropped: Option<Instant>,
}

impl AwsChain {
    /// The whole chain, or a profile alone: who names one means it, also where the environment has keys. Asks nobody
    /// yet.
    #[must_use]
    pub fn new(profile: Option<&str>) -> Self {
        Self { profile: profile.map(str::to_owned), current: Mutex::default() }
    }

    /// The places to look, as they are now: the library reads the files of profiles once, and keys may have changed there.
    async fn places(&self) -> SharedCredentialsProvider {
        match self.profile.as_deref() {
            Some(name) => {
                let named = ProfileFileCredentialsProvider::builder().profile_name(name);
                SharedCredentialsProvider::new(named.build())
            }
            // A region only matters to who asks STS; the instance's own metadata are asked for keys, not for that.
            None => {
                let region = aws_region(None).await.map_or(Region::from_static("us-east-1"), Region::new);
                SharedCredentialsProvider::new(DefaultCredentialsChain::builder().region(region).build().await)
            }
        }
    }
}

#[async_trait]
impl CredentialsProvider for AwsChain {
    async fn credentials(&self) -> Result<Credentials, NoCredentials> {
        // Held while asking, so that a hundred requests ask once.
        let current = &mut self.current.lock().await.credentials;
        if let Some(credentials) = current.as_ref().filter(|credentials| is_good(credentials, clock::now())) {
            return Ok(credentials.clone());
        }
        match self.places().await.provide_credentials().await {
            Ok(found) => Ok(current.insert(own(&found)).clone()),
            // Better the old ones, while they last, than none.
            Err(error) => match current.as_ref() {
                Some(old) if old.expires.is_some_and(|expires| clock::now() < expires) => Ok(old.clone()),
                Some(_) | None => Err(NoCredentials(self.explain(&error))),
            },
        }
    }

    async fn refused(&self, refused: &Credentials) {
        let mut current = self.current.lock().await;
        let now = clock::monotonic();
        if current.credentials.as_ref() == Some(refused) && may_look(current.dropped, now) {
            *current = Current { credentials: None, dropped: Some(now) };
        }
    }
}

impl AwsChain {
    fn explain(&self, error: &dyn std::error::Error) -> String {
        let mut cause = error;
        while let Some(below) = cause.source() {
            cause = below;
        }
        let profile = self.profile.as_deref().map(|name| format!(" for the profile {name:?}")).unwrap_or_default();
        format!(
            "no credentials found{profile} ({cause}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use --profile"
        )
    }
}

fn is_good(credentials: &Credentials, now: SystemTime) -> bool {
    credentials.expires.is_none_or(|expires| now + RENEW_BEFORE < expires)
}

fn may_look(dropped: Option<Instant>, now: Instant) -> bool {
    dropped.is_none_or(|dropped| now.duration_since(dropped) >= LOOK_AGAIN)
}

fn own(found: &aws_credential_types::Credentials) -> Credentials {
    Credentials {
        access_key_id: found.access_key_id().to_owned(),
        secret: Zeroizing::new(found.secret_access_key().to_owned()),
        session_token: found.session_token().map(|token| Zeroizing::new(token.to_owned())),
        expires: found.expiry(),
    }
}

/// The region that AWS tools would use: of the environment, then of the profile.
pub async fn aws_region(profile: Option<&str>) -> Option<String> {
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Some(region.as_ref().to_owned());
    }
    let mut builder = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        builder = builder.profile_name(profile);
    }
    builder.build().region().await.map(|region| region.as_ref().to_owned())
}

/// Any provider, shared.
pub type SharedCredentials = Arc<dyn CredentialsProvider>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut credentials = Credentials::new("AKID", "hidden");
        credentials.session_token = Some(Zeroizing::new("hidden".to_owned()));
        assert_eq!(format!("{credentials:?}"), "Credentials(AKID, ..)");
    }

    #[test]
    fn refused_keys_are_looked_for_now_and_then() {
        let now = clock::monotonic();
        assert!(may_look(None, now), "the first time at once");
        assert!(!may_look(Some(now), now + LOOK_AGAIN / 2), "a refusal may have another reason");
        assert!(may_look(Some(now), now + LOOK_AGAIN));
    }

    #[test]
    fn keys_are_renewed_before_they_expire() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut credentials = Credentials::new("a", "b");
        assert!(is_good(&credentials, now));
        for (left, want) in [(301, true), (300, false), (0, false)] {
            credentials.expires = Some(now + Duration::from_secs(left));
            assert_eq!(is_good(&credentials, now), want, "{left} s left");
        }
    }
}
