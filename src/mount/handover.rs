//! The end of a process that serves a mount in favour of another one, while programs go on: when it may be, and what is done.

use crate::fuse::Gate;
use crate::vfs::Vfs;
use std::time::Duration;

/// How long programs may be kept waiting, and how long they have to close what cannot be handed over.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Lets no request in any more, answers those that are, and hands over what is being written. Afterwards this process has
/// nothing left to do.
///
/// # Errors
/// One line that says why it cannot be. The process goes on then.
pub async fn hand_over(vfs: &Vfs, gate: &Gate) -> Result<(), String> {
    let outcome = tokio::time::timeout(PATIENCE, async {
        empty(vfs, gate).await;
        vfs.hand_over().await
    });
    let why = match outcome.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => format!("what is to be stored first cannot be: {error}; try again"),
        Err(_) => match vfs.in_the_way() {
            Some(key) => format!("{key:?} is being changed elsewhere than at its end; close it and try again"),
            None => format!("what was under way did not end within {} s; try again", PATIENCE.as_secs()),
        },
    };
    // Before programs change again what was handed over.
    vfs.stay();
    gate.open();
    Err(why)
}

/// Returns when nobody is inside and nothing is in the way.
async fn empty(vfs: &Vfs, gate: &Gate) {
    loop {
        while vfs.in_the_way().is_some() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        gate.close().await;
        if vfs.in_the_way().is_none() {
            return;
        }
        gate.open();
    }
}
