//! What a model's file holds: its facts, and its probe rows, scored when the file is first wanted.
//!
//! Scoring the probe rows takes tens of milliseconds where outputs are integrals, often more than the
//! fit; a model that is fitted, looked at and dropped, as thousands are in a search, never needs them.

use super::probe;
use crate::Error;
use cvm_artifact::{Artifact, Fingerprint, Probe};
use cvm_core::Scorer;
use std::sync::OnceLock;

/// The artifact of a model, whole once somebody asks for it.
pub(super) struct File {
    /// Everything but the probe rows.
    facts: Artifact,
    whole: OnceLock<Result<Whole, Error>>,
}

struct Whole {
    probe: Probe,
    fingerprint: Fingerprint,
}

impl File {
    /// Of a model that was made: `facts` are without probe rows.
    ///
    /// # Errors
    /// Facts beyond a limit of the format.
    pub(super) fn made(facts: Artifact) -> Result<File, Error> {
        cvm_artifact::check(&facts)?;
        let whole = OnceLock::new();
        Ok(File { facts, whole })
    }

    /// Of a file that was read, and of its `fingerprint`.
    pub(super) fn read(mut artifact: Artifact, fingerprint: Fingerprint) -> File {
        let probe = std::mem::replace(&mut artifact.probe, probe::none());
        let whole = Ok(Whole { probe, fingerprint });
        File {
            facts: artifact,
            whole: OnceLock::from(whole),
        }
    }

    /// The same with other facts; probe rows that are known stay, with what they were scored under.
    ///
    /// # Errors
    /// Facts beyond a limit of the format.
    pub(super) fn changed(self, change: impl FnOnce(&mut Artifact)) -> Result<File, Error> {
        let File { mut facts, whole } = self;
        change(&mut facts);
        let Some(Ok(Whole { probe, .. })) = whole.into_inner() else {
            return File::made(facts);
        };
        facts.probe = probe;
        let bytes = cvm_artifact::encode(&facts)?;
        Ok(File::read(facts, cvm_artifact::verify(&bytes)?))
    }

    pub(super) fn facts(&self) -> &Artifact {
        &self.facts
    }

    /// The probe rows; none where they cannot be scored, which [`File::bytes`] tells.
    pub(super) fn probe(&self, scorer: &dyn Scorer) -> &Probe {
        match self.whole(scorer) {
            Ok(whole) => &whole.probe,
            Err(_) => &self.facts.probe,
        }
    }

    /// The hash of the file; of what there is of it where there can be none.
    pub(super) fn fingerprint(&self, scorer: &dyn Scorer) -> Fingerprint {
        let part = || cvm_artifact::encode(&self.facts).unwrap_or_default();
        match self.whole(scorer) {
            Ok(whole) => whole.fingerprint,
            Err(_) => Fingerprint::of(&part()),
        }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// The probe rows cannot be scored, or the file is beyond a limit of the format.
    pub(super) fn bytes(&self, scorer: &dyn Scorer) -> Result<Vec<u8>, Error> {
        let whole = self.whole(scorer).as_ref().map_err(Error::clone)?;
        Ok(cvm_artifact::encode(&self.artifact(whole.probe.clone()))?)
    }

    fn artifact(&self, probe: Probe) -> Artifact {
        Artifact {
            probe,
            ..self.facts.clone()
        }
    }

    /// Encodes once and reads it back: what is whole can be opened, and has this fingerprint.
    fn whole(&self, scorer: &dyn Scorer) -> &Result<Whole, Error> {
        self.whole.get_or_init(|| {
            let probe = probe::make(scorer)?;
            let artifact = self.artifact(probe);
            let fingerprint = cvm_artifact::verify(&cvm_artifact::encode(&artifact)?)?;
            Ok(Whole {
                probe: artifact.probe,
                fingerprint,
            })
        })
    }
}
