//! `brigade serve`: the bundled backend as a program.

use crate::cli::Failure;
use crate::cli::args::ServeArgs;
use crate::cli::args::ServeDialect;
use crate::cli::line;
use crate::cli::logging;
use crate::cli::resolve;
use crate::cli::resolve::Environment;
use crate::server;
use crate::server::Dialect;
use crate::server::Server;
use crate::server::keys;
use std::io;
use tokio::signal::unix::SignalKind;

/// Serves until a signal comes.
pub fn run(args: &ServeArgs, environment: &Environment) -> Result<(), Failure> {
    let data = resolve::serve_data(args)?;
    let given = resolve::serve_keys(environment)?;
    let faults = resolve::faults(args.faults.as_deref())?;
    let users = resolve::serve_users(args, environment)?;
    logging::start(&args.log, environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(start)?;
    runtime.block_on(async {
        let kept = given.is_none().then(|| data.join(keys::FILE));
        let keys = match given {
            Some(keys) => keys,
            None => keys::load_or_create(&data).map_err(|why| Failure::Failed(why.to_string()))?,
        };
        let signals = signals().map_err(start)?;
        let options = server::Options {
            listen: args.listen,
            users,
            buckets: args.buckets.clone(),
            region: args.region.clone(),
            base_domains: args.domains.clone(),
            sync: !args.no_sync,
            dialect: match args.dialect {
                ServeDialect::S3 => Dialect::S3,
                ServeDialect::Jss => Dialect::Jss,
                ServeDialect::Wos => Dialect::Wos,
            },
            strict: args.strict,
            faults: faults.clone(),
            ..server::Options::new(data.clone(), keys)
        };
        let server = Server::start(options).await.map_err(|why| Failure::Failed(why.to_string()))?;
        if let Some(file) = kept {
            line(&format!("keys: {}", file.display()));
        }
        if let (Some(plan), Some(file)) = (&faults, &args.faults) {
            line(&format!("faults: {} with seed = {}", file.display(), plan.seed));
        }
        line(&format!("serving {} at http://{}", data.display(), server.addr()));
        signals.await;
        server.shutdown().await;
        Ok(())
    })
}

fn signals() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}

fn start(cause: io::Error) -> Failure {
    Failure::Failed(format!("cannot start: {cause}"))
}
