//! What was meant: arguments and environment become the options of the layers, checked, with paths made absolute.
//! The only reader of the environment, apart from the places where credentials are looked for.

use crate::base::bytesize::ByteSize;
use crate::base::bytesize::GIB;
use crate::base::bytesize::MIB;
use crate::cli::Failure;
use crate::cli::args;
use crate::cli::args::CheckArgs;
use crate::cli::args::MountArgs;
use crate::cli::args::OutageArgs;
use crate::cli::args::ServeArgs;
use crate::cli::args::StoreArgs;
use crate::cli::args::UploadsPlaceArgs;
use crate::cli::endpoint;
use crate::fuse;
use crate::mount::background;
use crate::mount::certificates;
use crate::mount::control;
use crate::mount::link;
use crate::mount::plan::Endpoint;
use crate::mount::plan::Plan;
use crate::mount::source;
use crate::mount::source::Source;
use crate::mount::uploads;
use crate::server::faults::Plan as Faults;
use crate::server::faults::file as fault_file;
use crate::server::keys::Keys;
use crate::server::permissions::Permissions;
use crate::server::users;
use crate::store::client::PATIENCE;
use crate::store::layers::retry::Outage;
use crate::store::layers::retry::Policy;
use crate::vfs;
use std::fmt::Display;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// S3 takes no smaller parts but the last, and no larger ones.
const PART_MIN: ByteSize = ByteSize(5 * MIB);
const PART_MAX: ByteSize = ByteSize(5 * GIB);
/// One part filling, one under way, and some for reading.
const PARTS_IN_MEMORY_MIN: u64 = 3;
/// A few of the spans in which the cache makes room.
const CACHE_LIMIT_MIN: ByteSize = ByteSize(64 * MIB);
/// A healthy store may need a second; who waits for longer than an hour wants to wait for ever.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// More connections than this help no store.
const CONCURRENCY_MAX: usize = 256;

/// The part of the environment that this program reads.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `BRIGADE_LOG`: how much is logged.
    pub log: Option<String>,
    /// Whether this process was started in the background by another of ours.
    pub in_background: bool,
    /// Whether this process was started by another of ours to serve a mount.
    pub is_worker: bool,
    /// `BRIGADE_ACCESS_KEY_ID`, for `serve`.
    pub access_key_id: Option<String>,
    /// `BRIGADE_SECRET_ACCESS_KEY`, for `serve`.
    pub secret_access_key: Option<Secret>,
    /// `BRIGADE_READ_ONLY_ACCESS_KEY_ID`, for `serve`.
    pub read_only_access_key_id: Option<String>,
    /// `BRIGADE_READ_ONLY_SECRET_ACCESS_KEY`, for `serve`.
    pub read_only_secret_access_key: Option<Secret>,
    /// `XDG_RUNTIME_DIR`: where a user's sockets go.
    pub runtime_dir: Option<PathBuf>,
    /// `AWS_ENDPOINT_URL_S3`, or else `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
    /// `AWS_CA_BUNDLE`: the authorities that endpoints are believed by.
    pub ca_bundle: Option<PathBuf>,
    /// `XDG_STATE_HOME`: where a user's programs keep what outlives them.
    pub state_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

/// A secret, which is never shown.
#[derive(Clone, Default)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Environment {
    /// Reads it. An empty variable counts as unset.
    #[must_use]
    pub fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            log: text("BRIGADE_LOG"),
            in_background: text(background::VARIABLE).is_some(),
            is_worker: text(link::VARIABLE).is_some(),
            access_key_id: text("BRIGADE_ACCESS_KEY_ID"),
            secret_access_key: text("BRIGADE_SECRET_ACCESS_KEY").map(Secret),
            read_only_access_key_id: text("BRIGADE_READ_ONLY_ACCESS_KEY_ID"),
            read_only_secret_access_key: text("BRIGADE_READ_ONLY_SECRET_ACCESS_KEY").map(Secret),
            runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            endpoint_url: text("AWS_ENDPOINT_URL_S3").or_else(|| text("AWS_ENDPOINT_URL")),
            ca_bundle: text("AWS_CA_BUNDLE").map(PathBuf::from),
            state_home: std::env::var_os("XDG_STATE_HOME").map(PathBuf::from),
            home: std::env::var_os("HOME").map(PathBuf::from),
        }
    }

    /// Where this user's control sockets are.
    #[must_use]
    pub fn control_dir(&self) -> PathBuf {
        control::directory(rustix::process::geteuid().as_raw(), self.runtime_dir.as_deref())
    }
}

/// Where what must outlive a mount is kept, if it was not said: below `XDG_STATE_HOME`; else in /var/lib/brigade for root
/// and in ~/.local/state for others. `None` for somebody without a home.
fn state_dir(uid: u32, environment: &Environment) -> Option<PathBuf> {
    let absolute = |path: &Option<PathBuf>| path.clone().filter(|path| path.is_absolute());
    if let Some(dir) = absolute(&environment.state_home) {
        return Some(dir.join("brigade"));
    }
    if uid == 0 {
        return Some(PathBuf::from("/var/lib/brigade"));
    }
    Some(absolute(&environment.home)?.join(".local/state/brigade"))
}

fn chosen_state_dir(typed: Option<&Path>, environment: &Environment) -> Result<Option<PathBuf>, Failure> {
    match typed {
        Some(dir) => absolute(dir).map(Some),
        None => Ok(state_dir(rustix::process::geteuid().as_raw(), environment)),
    }
}

/// Whose uploads `brigade uploads` is to look at.
pub fn uploads(args: &UploadsPlaceArgs, environment: &Environment) -> Result<uploads::Plan, Failure> {
    let (source, prefix) = source(&args.source, &args.store)?;
    let endpoint = reached(&args.store, &source, environment)?;
    let state_dir = chosen_state_dir(args.state_dir.as_deref(), environment)?;
    Ok(uploads::Plan { source, prefix, endpoint, state_dir })
}

/// What a `check` is to look at.
#[derive(Clone, Debug)]
pub struct Check {
    /// The bucket.
    pub source: Source,
    /// Only keys that begin so; empty, or ending in a slash.
    pub prefix: String,
    /// How to reach the store.
    pub endpoint: Endpoint,
}

/// What `brigade check` is to look at.
pub fn check(args: &CheckArgs, environment: &Environment) -> Result<Check, Failure> {
    let (source, prefix) = source(&args.source, &args.store)?;
    let endpoint = reached(&args.store, &source, environment)?;
    Ok(Check { source, prefix, endpoint })
}

/// The source with its path made absolute, and the prefix, however it was said.
fn source(typed: &str, store: &StoreArgs) -> Result<(Source, String), Failure> {
    let mut source = typed.parse::<Source>().map_err(|why| usage(format!("SOURCE {typed:?}: {why}")))?;
    let mut prefix = store.prefix.as_deref().map(source::directory_prefix).unwrap_or_default();
    match &mut source {
        Source::Local { data } => *data = absolute(data)?,
        Source::Bucket { prefix: named, .. } if !named.is_empty() && !prefix.is_empty() => {
            return Err(usage(format!("--prefix {prefix:?} and SOURCE {typed:?} both name a prefix; use one")));
        }
        // What is shown as mounted is all of it, however it was said.
        Source::Bucket { prefix: named, .. } if named.is_empty() => named.clone_from(&prefix),
        Source::Bucket { prefix: named, .. } => prefix.clone_from(named),
    }
    Ok((source, prefix))
}

/// The plan of a mount.
pub fn mount(args: &MountArgs, environment: &Environment) -> Result<Plan, Failure> {
    let (source, prefix) = source(&args.source, &args.store)?;
    let state_dir = chosen_state_dir(args.uploads.state_dir.as_deref(), environment)?;
    if args.uploads.durability == args::Durability::Journal && args.uploads.journal_dir.is_none() && state_dir.is_none()
    {
        return Err(usage(
            "--durability journal needs a directory, and you have no home: name one with --journal-dir".to_owned(),
        ));
    }
    in_range("--cache-limit", args.uploads.cache_limit, CACHE_LIMIT_MIN, ByteSize(u64::MAX))?;
    Ok(Plan {
        vfs: files(args, prefix)?,
        fuse: fuse::Options {
            fs_name: source.to_string(),
            allow_other: args.files.allow_other,
            read_only: args.files.read_only,
        },
        endpoint: Endpoint {
            // An answer that is late for the request as a whole is no use.
            patience: PATIENCE.min(args.outage.timeout),
            ..reached(&args.store, &source, environment)?
        },
        policy: policy(&args.outage)?,
        source,
        dir: args.dir.clone(),
        control_dir: environment.control_dir(),
        state_dir,
        metrics: args.metrics,
        journal_limit: args.uploads.journal_limit.0,
        cache_dir: args.uploads.cache_dir.as_deref().map(absolute).transpose()?,
        cache_limit: args.uploads.cache_limit.0,
    })
}

fn policy(args: &OutageArgs) -> Result<Policy, Failure> {
    if !(TIMEOUT_MIN..=TIMEOUT_MAX).contains(&args.timeout) {
        let (min, max) = (TIMEOUT_MIN.as_secs(), TIMEOUT_MAX.as_secs());
        return Err(usage(format!("--timeout must be between {min} and {max} seconds")));
    }
    let outage = if args.soft { Outage::Fail } else { Outage::Wait };
    Ok(Policy { total: args.timeout, outage, ..Policy::default() })
}

fn files(args: &MountArgs, prefix: String) -> Result<vfs::Options, Failure> {
    let (files, uploads) = (&args.files, &args.uploads);
    in_range("--part-size", uploads.part_size, PART_MIN, PART_MAX)?;
    let memory_min = ByteSize(uploads.part_size.0.saturating_mul(PARTS_IN_MEMORY_MIN));
    in_range("--memory-limit", uploads.memory_limit, memory_min, ByteSize(u64::MAX))?;
    in_range("--upload-concurrency", uploads.upload_concurrency, 1, CONCURRENCY_MAX)?;
    let options = vfs::Options {
        prefix,
        metadata_ttl: files.metadata_ttl,
        uid: files.uid.unwrap_or_else(|| rustix::process::getuid().as_raw()),
        gid: files.gid.unwrap_or_else(|| rustix::process::getgid().as_raw()),
        file_mode: files.file_mode,
        dir_mode: files.dir_mode,
        read_only: files.read_only,
        storage_class: args.store.storage_class.clone(),
        server_side_encryption: args.store.server_side_encryption.clone(),
        part_bytes: uploads.part_size.0,
        upload_concurrency: uploads.upload_concurrency,
        memory_limit: uploads.memory_limit.0,
        journal_dir: uploads.journal_dir.as_deref().map(absolute).transpose()?,
        durability: match uploads.durability {
            args::Durability::Bucket => vfs::Durability::Bucket,
            args::Durability::Journal => vfs::Durability::Journal,
        },
    };
    options.check().map_err(usage)?;
    Ok(options)
}

fn in_range<T: PartialOrd + Display>(option: &str, value: T, min: T, max: T) -> Result<(), Failure> {
    if value < min {
        return Err(usage(format!("{option} {value} is too small; here it is at least {min}")));
    }
    if value > max {
        return Err(usage(format!("{option} {value} is too large; it is at most {max}")));
    }
    Ok(())
}

/// The keys that the environment gives to `serve`: both or neither.
pub fn serve_keys(environment: &Environment) -> Result<Option<Keys>, Failure> {
    pair(
        ("BRIGADE_ACCESS_KEY_ID", &environment.access_key_id),
        ("BRIGADE_SECRET_ACCESS_KEY", &environment.secret_access_key),
    )
}

/// Who may use the backend beside the first pair: those of the file, and the pair for reading only of the environment.
pub fn serve_users(args: &ServeArgs, environment: &Environment) -> Result<Vec<(Keys, Permissions)>, Failure> {
    let mut users = match &args.users {
        Some(path) => users::read(path).map_err(Failure::Failed)?,
        None => Vec::new(),
    };
    users.extend(read_only_keys(environment)?.map(|keys| (keys, Permissions::READ_ONLY)));
    Ok(users)
}

/// The keys that it gives for reading only: both or neither.
fn read_only_keys(environment: &Environment) -> Result<Option<Keys>, Failure> {
    let keys = pair(
        ("BRIGADE_READ_ONLY_ACCESS_KEY_ID", &environment.read_only_access_key_id),
        ("BRIGADE_READ_ONLY_SECRET_ACCESS_KEY", &environment.read_only_secret_access_key),
    )?;
    if keys.as_ref().is_some_and(|keys| environment.access_key_id.as_ref() == Some(&keys.access_key_id)) {
        return Err(usage("BRIGADE_READ_ONLY_ACCESS_KEY_ID is BRIGADE_ACCESS_KEY_ID; give each pair its own".into()));
    }
    Ok(keys)
}

fn pair(id: (&str, &Option<String>), secret: (&str, &Option<Secret>)) -> Result<Option<Keys>, Failure> {
    let half = |set: &str, other: &str| Err(usage(format!("{set} is set, but {other} is not; set both")));
    match (id, secret) {
        ((_, None), (_, None)) => Ok(None),
        ((_, Some(id)), (_, Some(Secret(secret)))) => {
            Ok(Some(Keys { access_key_id: id.clone(), secret: secret.clone() }))
        }
        ((set, Some(_)), (other, None)) => half(set, other),
        ((other, None), (set, Some(_))) => half(set, other),
    }
}

/// The data directory of `serve`.
pub fn serve_data(args: &ServeArgs) -> Result<PathBuf, Failure> {
    absolute(&args.data)
}

fn reached(store: &StoreArgs, source: &Source, environment: &Environment) -> Result<Endpoint, Failure> {
    let mut endpoint = endpoint::endpoint(store, source, environment)?;
    if store.faults.is_some() && !matches!(source, Source::Local { .. }) {
        return Err(usage(
            "--faults goes with a local: source; another backend is given its plan by `brigade serve`".into(),
        ));
    }
    endpoint.faults = faults(store.faults.as_deref())?;
    // A local source has an endpoint of its own, without TLS.
    if matches!(source, Source::Bucket { .. }) {
        endpoint.tls = certificates::read(&certificate_files(store, environment)?).map_err(Failure::Failed)?;
    }
    Ok(endpoint)
}

fn certificate_files<'a>(
    store: &'a StoreArgs,
    environment: &'a Environment,
) -> Result<certificates::Files<'a>, Failure> {
    let authorities = match (&store.ca_bundle, &environment.ca_bundle) {
        (Some(file), _) => Some(("--ca-bundle", file.as_path())),
        (None, file) => file.as_ref().map(|file| ("AWS_CA_BUNDLE", file.as_path())),
    };
    let half = |given: &str, other: &str| Err(usage(format!("{given} needs {other} as well; give both")));
    let identity = match (&store.client_certificate, &store.client_key) {
        (Some(certificate), Some(key)) => {
            Some((("--client-certificate", certificate.as_path()), ("--client-key", key.as_path())))
        }
        (None, None) => None,
        (Some(_), None) => return half("--client-certificate", "--client-key"),
        (None, Some(_)) => return half("--client-key", "--client-certificate"),
    };
    Ok(certificates::Files { authorities, identity })
}

/// The plan of faults in a file.
pub fn faults(file: Option<&Path>) -> Result<Option<Faults>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file)
        .map_err(|cause| usage(format!("--faults: cannot read the plan of faults {}: {cause}", file.display())))?;
    let plan = fault_file::parse(&text);
    plan.map(Some).map_err(|why| usage(format!("--faults {}: {why}", file.display())))
}

// The process in the background leaves the directory that relative paths are meant from.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|cause| Failure::Failed(format!("cannot find the directory {}: {cause}", path.display())))
}

fn usage(message: String) -> Failure {
    Failure::Usage(message)
}

#[cfg(test)]
mod tests;
