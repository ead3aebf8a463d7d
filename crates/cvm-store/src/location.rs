//! Where a repository is: an object store, and a prefix in it.

use cvm::{Error, ErrorKind};
use futures_util::TryStreamExt;
use object_store::path::{Path, PathPart};
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a listing or a small file may take, and a model file, its repeats among it.
const PATIENCE: Duration = Duration::from_secs(30);
const FILE_PATIENCE: Duration = Duration::from_secs(300);

/// Objects up to this size are small.
const SMALL_BYTES: u64 = 1 << 20;

/// Most objects of a repository: 1 024 models of 64 versions, each with a signature.
const MAX_OBJECTS: usize = 1_024 * (2 * 64 + 2);

/// Variables of the environment that configure a store begin so.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// A prefix in an object store.
#[derive(Clone)]
pub struct Location {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    shown: String,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.shown).finish()
    }
}

/// What tells one state of an object from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    e_tag: Option<String>,
    version: Option<String>,
    /// For stores without the first: time and size.
    state: Option<(i64, u64)>,
}

impl Tag {
    fn of(meta: &ObjectMeta) -> Tag {
        Tag {
            e_tag: meta.e_tag.clone(),
            version: meta.version.clone(),
            state: Some((meta.last_modified.timestamp_micros(), meta.size)),
        }
    }

    /// Whether an object is still what it was. A listing may leave out what a read tells.
    pub(crate) fn is_of(&self, meta: &ObjectMeta) -> bool {
        let now = Tag::of(meta);
        match (&self.e_tag, &now.e_tag) {
            (Some(before), Some(now)) => before == now,
            _ => self.state == now.state,
        }
    }
}

impl Location {
    /// Reads a URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`,
    /// `file:///folder`. Credentials, regions and endpoints come from the variables (`AWS_…`,
    /// `GOOGLE_…`, `AZURE_…`) that the stores' own tools read.
    ///
    /// # Errors
    /// `InvalidInput` for what is no such URL, or a store this build does not speak to.
    pub fn parse(
        url: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Location, Error> {
        let wrong = |why: String| Error::new(ErrorKind::InvalidInput, format!("{url}: {why}"));
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong("credentials do not belong into the URL".to_owned()));
        }
        // The client takes the one of the process; whoever has chosen another keeps it.
        #[cfg(feature = "client")]
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = |(name, _): &(String, String)| VARIABLES.iter().any(|v| name.starts_with(v));
        let options = variables.into_iter().filter(own);
        let (store, prefix) = object_store::parse_url_opts(&parsed, options)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Location::new(Arc::from(store), prefix, url))
    }

    /// A prefix of a store, shown as `shown`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, shown: &str) -> Location {
        Location {
            store,
            prefix,
            shown: shown.to_owned(),
        }
    }

    /// What people call it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Every object below, by its parts below.
    pub(crate) async fn list(&self) -> Result<Vec<(Vec<String>, ObjectMeta)>, Error> {
        let listed = async {
            let mut all = Vec::new();
            let mut objects = self.store.list(Some(&self.prefix));
            while let Some(meta) = objects.try_next().await? {
                let parts = meta.location.prefix_match(&self.prefix);
                let parts = parts.map(|parts| parts.map(|p| p.as_ref().to_owned()).collect());
                all.push((parts.unwrap_or_default(), meta));
                if all.len() > MAX_OBJECTS {
                    break;
                }
            }
            Ok(all)
        };
        let all = self.waited(PATIENCE, listed).await?;
        match all.len() > MAX_OBJECTS {
            false => Ok(all),
            true => {
                let why = format!("{}: more than {MAX_OBJECTS} objects", self.shown);
                Err(Error::new(ErrorKind::InvalidInput, why))
            }
        }
    }

    /// An object of at most `max_bytes`.
    pub(crate) async fn get(
        &self,
        parts: &[&str],
        max_bytes: u64,
    ) -> Result<(Vec<u8>, Tag), Error> {
        let path = self.path(parts);
        let read = async {
            let found = self.store.get_opts(&path, GetOptions::default()).await?;
            let (size, tag) = (found.meta.size, Tag::of(&found.meta));
            let bytes = match size <= max_bytes {
                true => Some(found.bytes().await?),
                false => None,
            };
            Ok((size, bytes, tag))
        };
        let patience = match max_bytes <= SMALL_BYTES {
            true => PATIENCE,
            false => FILE_PATIENCE,
        };
        let (size, bytes, tag) = self.waited(patience, read).await?;
        let bytes = bytes.ok_or_else(|| {
            let why = format!("{path} has {size} bytes: at most {max_bytes}");
            Error::new(ErrorKind::Corrupt, why)
        })?;
        Ok((bytes.to_vec(), tag))
    }

    /// Writes an object, whatever was there.
    pub(crate) async fn put_over(&self, parts: &[&str], bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(parts);
        let payload = PutPayload::from(bytes.to_vec());
        let write = self.store.put_opts(&path, payload, PutOptions::default());
        self.waited(FILE_PATIENCE, write).await.map(|_| ())
    }

    /// Writes an object if it still is what it was: not there, or of the tag. A store that cannot tell
    /// is written all the same.
    pub(crate) async fn put(
        &self,
        parts: &[&str],
        bytes: &[u8],
        before: Option<&Tag>,
    ) -> Result<Tag, Error> {
        let path = self.path(parts);
        let mode = match before {
            None => PutMode::Create,
            Some(tag) => PutMode::Update(UpdateVersion {
                e_tag: tag.e_tag.clone(),
                version: tag.version.clone(),
            }),
        };
        let write = |mode: PutMode| {
            let payload = PutPayload::from(bytes.to_vec());
            let options = PutOptions::from(mode);
            self.store.put_opts(&path, payload, options)
        };
        let written = async {
            match write(mode).await {
                Err(object_store::Error::NotImplemented { .. }) => write(PutMode::Overwrite).await,
                written => written,
            }
        };
        let written = self.waited(PATIENCE, written).await?;
        Ok(Tag {
            state: None,
            e_tag: written.e_tag,
            version: written.version,
        })
    }

    fn path(&self, parts: &[&str]) -> Path {
        let below = parts.iter().map(|part| PathPart::from(*part));
        self.prefix.parts().chain(below).collect()
    }

    /// The outcome, if it comes in time.
    async fn waited<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(patience, work).await {
            Ok(done) => done.map_err(|error| self.error(&error)),
            Err(_) => {
                let why = format!("{}: no answer in {} s", self.shown, patience.as_secs());
                Err(Error::new(ErrorKind::Internal, why))
            }
        }
    }

    fn error(&self, error: &object_store::Error) -> Error {
        use object_store::Error as E;
        let kind = match error {
            E::NotFound { .. } => ErrorKind::NotFound,
            E::AlreadyExists { .. } | E::Precondition { .. } => ErrorKind::Incompatible,
            _ => ErrorKind::InvalidInput,
        };
        let shown = error.to_string();
        // Some stores answer with a page of XML.
        let short: String = shown.chars().take(400).collect();
        Error::new(kind, format!("{}: {short}", self.shown))
    }
}
