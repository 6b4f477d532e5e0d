//! What was meant: arguments and environment become the options of the layers, checked, with paths made absolute.
//! The only reader of the environment, apart from the places where credentials are looked for.

use crate::base::bytesize::ByteSize;
use crate::cli::Failure;
use crate::cli::args::Addressing;
use crate::cli::args::MountArgs;
use crate::cli::args::ServeArgs;
use crate::fuse;
use crate::mount::background;
use crate::mount::control;
use crate::mount::plan;
use crate::mount::plan::Endpoint;
use crate::mount::plan::Plan;
use crate::mount::source;
use crate::mount::source::Source;
use crate::server::keys::Keys;
use crate::vfs;
use std::path::Path;
use std::path::PathBuf;

/// The part of the environment that this program reads.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `BRIGADE_LOG`: how much is logged.
    pub log: Option<String>,
    /// Whether this process was started in the background by another of ours.
    pub in_background: bool,
    /// `BRIGADE_ACCESS_KEY_ID`, for `serve`.
    pub access_key_id: Option<String>,
    /// `BRIGADE_SECRET_ACCESS_KEY`, for `serve`.
    pub secret_access_key: Option<Secret>,
    /// `XDG_RUNTIME_DIR`: where a user's sockets go.
    pub runtime_dir: Option<PathBuf>,
    /// `AWS_ENDPOINT_URL_S3`, or else `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
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
            access_key_id: text("BRIGADE_ACCESS_KEY_ID"),
            secret_access_key: text("BRIGADE_SECRET_ACCESS_KEY").map(Secret),
            runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            endpoint_url: text("AWS_ENDPOINT_URL_S3").or_else(|| text("AWS_ENDPOINT_URL")),
        }
    }

    /// Where this user's control sockets are.
    #[must_use]
    pub fn control_dir(&self) -> PathBuf {
        control::directory(rustix::process::geteuid().as_raw(), self.runtime_dir.as_deref())
    }
}

/// The plan of a mount.
pub fn mount(args: &MountArgs, environment: &Environment) -> Result<Plan, Failure> {
    let mut source = args.source.parse::<Source>().map_err(|why| usage(format!("SOURCE {:?}: {why}", args.source)))?;
    let mut prefix = args.store.prefix.as_deref().map(source::directory_prefix).unwrap_or_default();
    match &mut source {
        Source::Local { data } => *data = absolute(data)?,
        Source::S3 { prefix: named, .. } if !named.is_empty() && !prefix.is_empty() => {
            return Err(usage(format!("--prefix {prefix:?} and SOURCE {:?} both name a prefix; use one", args.source)));
        }
        // What is shown as mounted is all of it, however it was said.
        Source::S3 { prefix: named, .. } if named.is_empty() => named.clone_from(&prefix),
        Source::S3 { prefix: named, .. } => prefix.clone_from(named),
    }
    Ok(Plan {
        vfs: files(args, prefix)?,
        fuse: fuse::Options {
            fs_name: source.to_string(),
            allow_other: args.files.allow_other,
            read_only: args.files.read_only,
        },
        endpoint: endpoint(args, environment)?,
        source,
        dir: args.dir.clone(),
        control_dir: environment.control_dir(),
    })
}

fn files(args: &MountArgs, prefix: String) -> Result<vfs::Options, Failure> {
    let (files, uploads) = (&args.files, &args.uploads);
    let default = vfs::Options::default();
    let options = vfs::Options {
        prefix,
        metadata_ttl: files.metadata_ttl.unwrap_or(default.metadata_ttl),
        uid: files.uid.unwrap_or_else(|| rustix::process::getuid().as_raw()),
        gid: files.gid.unwrap_or_else(|| rustix::process::getgid().as_raw()),
        file_mode: files.file_mode.unwrap_or(default.file_mode),
        dir_mode: files.dir_mode.unwrap_or(default.dir_mode),
        read_only: files.read_only,
        storage_class: args.store.storage_class.clone(),
        part_bytes: uploads.part_size.map_or(default.part_bytes, |ByteSize(bytes)| bytes),
        upload_concurrency: uploads.upload_concurrency.unwrap_or(default.upload_concurrency),
        memory_limit: uploads.memory_limit.map_or(default.memory_limit, |ByteSize(bytes)| bytes),
    };
    options.check().map_err(usage)?;
    Ok(options)
}

fn endpoint(args: &MountArgs, environment: &Environment) -> Result<Endpoint, Failure> {
    let store = &args.store;
    if let Some(url) = &store.endpoint_url
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        return Err(usage(format!("--endpoint-url {url:?} is not an URL; it begins with http:// or https://")));
    }
    Ok(Endpoint {
        url: store.endpoint_url.clone().or_else(|| environment.endpoint_url.clone()),
        region: store.region.clone(),
        profile: store.profile.clone(),
        addressing: match store.addressing {
            Addressing::Auto => plan::Addressing::Auto,
            Addressing::Path => plan::Addressing::Path,
            Addressing::Virtual => plan::Addressing::Virtual,
        },
        provider: store.provider.clone(),
    })
}

/// The keys that the environment gives to `serve`: both or neither.
pub fn serve_keys(environment: &Environment) -> Result<Option<Keys>, Failure> {
    match (&environment.access_key_id, &environment.secret_access_key) {
        (None, None) => Ok(None),
        (Some(id), Some(Secret(secret))) => Ok(Some(Keys { access_key_id: id.clone(), secret: secret.clone() })),
        (Some(_), None) => {
            Err(usage("BRIGADE_ACCESS_KEY_ID is set, but BRIGADE_SECRET_ACCESS_KEY is not; set both".into()))
        }
        (None, Some(_)) => {
            Err(usage("BRIGADE_SECRET_ACCESS_KEY is set, but BRIGADE_ACCESS_KEY_ID is not; set both".into()))
        }
    }
}

/// The data directory of `serve`.
pub fn serve_data(args: &ServeArgs) -> Result<PathBuf, Failure> {
    absolute(&args.data)
}

// The process in the background leaves the directory that relative paths are meant from.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|cause| Failure::Failed(format!("cannot find the directory {}: {cause}", path.display())))
}

fn usage(message: String) -> Failure {
    Failure::Usage(message)
}
