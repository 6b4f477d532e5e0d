//! Builds the layers of one mount, from the store at the bottom to the file system, and takes them down again.

use crate::mount::check;
use crate::mount::plan::Plan;
use crate::mount::reach::Error;
use crate::mount::reach::Reached;
use crate::store::Facts;
use crate::store::Store;
use crate::store::layers::retry::Policy;
use crate::store::layers::retry::Retry;
use crate::store::layers::trace::Counters;
use crate::store::layers::trace::Traced;
use crate::store::probe;
use crate::vfs::Vfs;
use std::sync::Arc;

/// The layers of one mount.
pub struct Stack {
    /// The file system.
    pub vfs: Arc<Vfs>,
    reached: Reached,
}

impl Stack {
    /// Builds everything below the kernel and checks that the store can be used.
    ///
    /// # Errors
    /// When a local source cannot be served, or the store cannot be used.
    pub async fn open(plan: &Plan) -> Result<Self, Error> {
        let reached = Reached::open(&plan.source, &plan.endpoint).await?;
        let mut client = reached.client(None)?;
        // Unlayered: a person waits, and hears at once what a retry would hide.
        check::usable(&client, &plan.vfs.prefix, &reached.place).await.map_err(Error::Store)?;
        if let Some(facts) = facts_found(&reached, plan).await? {
            client = reached.client(Some(facts))?;
        }
        if !client.facts().user_metadata && !plan.vfs.read_only {
            let endpoint = &reached.place.endpoint;
            tracing::warn!(
                endpoint,
                "the store keeps no user metadata: modes, owners and times last as long as the mount"
            );
        }
        // Traced below the retries, so that each attempt is seen.
        let traced = Arc::new(Traced::new(Arc::new(client), Arc::new(Counters::default())));
        let store: Arc<dyn Store> = Arc::new(Retry::new(traced, Policy::default()));
        let vfs = Vfs::new(store, plan.vfs.clone(), tokio::runtime::Handle::current());
        if !plan.vfs.read_only
            && let Err(error) = vfs.clean_up().await
        {
            tracing::warn!(%error, "cannot look for what crashed mounts have left");
        }
        Ok(Self { vfs, reached })
    }

    /// Takes the layers down; a data directory is free afterwards.
    pub async fn close(self) {
        drop(self.vfs);
        self.reached.close().await;
    }
}

/// What is true of this store, where the provider's row does not know it and somebody will rely on it.
async fn facts_found(reached: &Reached, plan: &Plan) -> Result<Option<Facts>, Error> {
    let provider = reached.provider();
    if !provider.to_be_probed || plan.vfs.read_only {
        return Ok(None);
    }
    match probe::probe(&reached.asking_client()?, &provider.facts, &plan.vfs.prefix).await {
        Ok(findings) => {
            tracing::debug!(endpoint = reached.place.endpoint, found = ?findings.verdicts, "asked what the store can do");
            Ok(Some(findings.facts))
        }
        // Whoever may not write can still read.
        Err(error) => {
            let assumed = provider.name;
            tracing::warn!(%error, assumed, "cannot find out what the store can do; its provider's row is believed");
            Ok(None)
        }
    }
}
