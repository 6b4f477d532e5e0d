//! What is agreed on with the kernel when a mount begins.

use crate::fuse::attr::BLOCK_BYTES;
use fuser::InitFlags;
use fuser::KernelConfig;
use std::io;

/// Requests that the kernel may have under way on its own account, such as read-ahead.
const BACKGROUND_MAX: u16 = 64;

/// Asks for all that makes the mount right and fast. An older kernel that lacks some of it is served without.
///
/// # Errors
/// A size that the kernel does not take.
pub fn negotiate(config: &mut KernelConfig) -> io::Result<()> {
    let wanted = InitFlags::FUSE_ATOMIC_O_TRUNC
        | InitFlags::FUSE_AUTO_INVAL_DATA
        | InitFlags::FUSE_DO_READDIRPLUS
        | InitFlags::FUSE_READDIRPLUS_AUTO
        | InitFlags::FUSE_ASYNC_DIO
        | InitFlags::FUSE_PARALLEL_DIROPS
        | InitFlags::FUSE_CACHE_SYMLINKS
        | InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP;
    let offered = config.capabilities() & wanted;
    let too_much = |nearest| io::Error::other(format!("the kernel takes at most {nearest:?}"));
    config.add_capabilities(offered).map_err(too_much)?;
    config.set_max_write(BLOCK_BYTES).map_err(|nearest| io::Error::other(format!("max_write {nearest}")))?;
    config.set_max_background(BACKGROUND_MAX).map_err(|nearest| io::Error::other(format!("background {nearest}")))?;
    Ok(())
}
