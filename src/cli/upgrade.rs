//! `brigade upgrade`: has this program go on with a mount that another one serves.

use crate::cli::Failure;
use crate::cli::args::UpgradeArgs;
use crate::cli::line;
use crate::cli::resolve::Environment;
use crate::mount::control;
use crate::mount::control::Client;
use crate::mount::control::Reply;
use crate::mount::control::Request;
use crate::mount::mountpoint;
use crate::mount::mountpoint::Health;

/// Asks the process that serves the mount to end in favour of this program, and waits for the next one.
pub fn run(args: &UpgradeArgs, environment: &Environment) -> Result<(), Failure> {
    let failed = |why: &str| Failure::Failed(format!("cannot upgrade {}: {why}", args.dir.display()));
    let mount = mountpoint::find(&args.dir).map_err(|why| Failure::Failed(why.to_string()))?;
    let program = std::env::current_exe().map_err(|cause| failed(&format!("this program cannot be found: {cause}")))?;
    let request = Request::Upgrade { dir: mount.dir.clone(), program: program.clone() };
    let sockets = control::candidates(&environment.control_dir(), mount.owner, mount.device);
    let asked = Client::ask(&sockets, &request);
    let mut client = asked.map_err(|cause| {
        failed(&format!("its process cannot be reached: {cause}; ask as the user who mounted it or as root"))
    })?;
    match client.receive(None) {
        Ok(Some(Reply::HandedOver)) => {}
        Ok(Some(Reply::Refused(why))) => return Err(failed(&format!("{why}; it is served as before"))),
        Ok(Some(
            Reply::Pending { .. }
            | Reply::NotStored(_)
            | Reply::Busy
            | Reply::Unmounted
            | Reply::Status(_)
            | Reply::Log { .. },
        )) => {
            return Err(failed("its process answered something else"));
        }
        Ok(None) => return Err(failed("its process ended before it had handed over; see its log")),
        Err(cause) => return Err(failed(&format!("its process stopped answering: {cause}; see its log"))),
    }
    // Answered by the next process, once it serves.
    match mountpoint::health(&mount) {
        Health::Alive => {
            line(&format!("{} goes on with {}", args.dir.display(), program.display()));
            Ok(())
        }
        Health::Stale => Err(failed("no process went on with it; see its log")),
    }
}
