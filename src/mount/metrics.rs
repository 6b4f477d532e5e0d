//! The figures of a mount for Prometheus, over HTTP (`--metrics`). Their names are a promise (docs/status.md). No path of a
//! file is in them.

use crate::base::exposition::CONTENT_TYPE;
use crate::base::exposition::Kind;
use crate::base::exposition::Page;
use crate::base::exposition::seconds;
use crate::base::metrics::Counted;
use crate::fuse::errno;
use crate::http::HeaderMap;
use crate::http::HeaderValue;
use crate::http::Method;
use crate::http::StatusCode;
use crate::http::header;
use crate::http::server::Handler;
use crate::http::server::Limits;
use crate::http::server::Listening;
use crate::http::server::Request;
use crate::http::server::Response;
use crate::http::server::ResponseBody;
use crate::mount::observatory::Observatory;
use crate::mount::observatory::View;
use crate::mount::prices;
use crate::mount::status::by_name;
use crate::store::layers::trace::REASONS;
use crate::vfs::figures::Dirty;
use crate::vfs::figures::Figures;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Monitors are few; others need not get in.
const CONNECTIONS_MAX: usize = 16;
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Answers monitors at `addr` until what is returned is dropped.
///
/// # Errors
/// When nobody can listen there.
pub async fn serve(addr: SocketAddr, observatory: Arc<Observatory>) -> io::Result<Listening> {
    let limits = Limits {
        connections_max: CONNECTIONS_MAX,
        body_idle_timeout: SILENCE_MAX,
        write_idle_timeout: SILENCE_MAX,
        ..Limits::default()
    };
    let listening = Listening::start(addr, limits, Arc::new(Scraped { observatory })).await?;
    let addr = listening.addr();
    if !addr.ip().is_loopback() {
        tracing::warn!(%addr, "figures of this mount are shown to everybody who reaches this address");
    }
    tracing::info!("figures are at http://{addr}/metrics");
    Ok(listening)
}

struct Scraped {
    observatory: Arc<Observatory>,
}

impl Handler for Scraped {
    async fn handle(&self, request: Request) -> Response {
        match (&request.method, request.path.as_str()) {
            (&Method::GET | &Method::HEAD, "/metrics") => answer(StatusCode::OK, CONTENT_TYPE, page(&self.observatory)),
            (&Method::GET | &Method::HEAD, _) => {
                answer(StatusCode::NOT_FOUND, "text/plain", "see /metrics\n".to_owned())
            }
            (_, _) => answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is answered\n".to_owned()),
        }
    }
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Response { status, headers, body: ResponseBody::Full(text.into()) }
}

/// The whole page.
#[must_use]
pub fn page(observatory: &Observatory) -> String {
    let view = observatory.view();
    let mut page = Page::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.family("brigade_build_info", Kind::Gauge, "The version of the program.").sample(&version, 1);
    let (source, dir) = observatory.named();
    let named = [("source", source), ("dir", dir.as_str())];
    page.family("brigade_mount_info", Kind::Gauge, "What is mounted, and where.").sample(&named, 1);
    let serving = seconds(u64::try_from(view.serving.as_micros()).unwrap_or(u64::MAX));
    page.single("brigade_serving_seconds", Kind::Gauge, "For how long this process has served the mount.", serving);
    operations(&mut page, &view);
    requests(&mut page, &view);
    files(&mut page, &view.figures);
    caches(&mut page, observatory, &view.figures);
    page.finish()
}

fn operations(page: &mut Page, view: &View) {
    let all: Vec<_> = view.operations.iter().map(|(operation, counted)| (operation.name(), counted)).collect();
    let help = "Requests of programs that have ended, by outcome: ok, or the name of the error.";
    let mut family = page.family("brigade_fuse_requests_total", Kind::Counter, help);
    all.iter()
        .for_each(|(name, counted)| outcomes(name, counted, errno::of_reason, |labels, n| family.sample(labels, n)));
    let help = "Requests of programs under way.";
    let mut family = page.family("brigade_fuse_requests_in_progress", Kind::Gauge, help);
    all.iter().for_each(|(name, counted)| family.sample(&[("operation", name)], counted.under_way));
    let help = "Bytes of contents that programs have read or written.";
    let mut family = page.family("brigade_fuse_bytes_total", Kind::Counter, help);
    let moving = all.iter().filter(|(_, counted)| counted.bytes > 0);
    moving.for_each(|(name, counted)| family.sample(&[("operation", name)], counted.bytes));
    let help = "How long requests of programs took.";
    let mut family = page.family("brigade_fuse_request_duration_seconds", Kind::Histogram, help);
    all.iter().for_each(|(name, counted)| family.histogram(&[("operation", name)], &counted.times));
}

fn requests(page: &mut Page, view: &View) {
    let all = &view.requests;
    let help = "Requests to the store that have ended, each attempt for itself, by outcome: ok, or the reason.";
    let mut family = page.family("brigade_store_requests_total", Kind::Counter, help);
    for (op, counted, _) in all {
        outcomes(op.name(), counted, |reason| REASONS[reason], |labels, n| family.sample(labels, n));
    }
    let help = "Requests to the store under way.";
    let mut family = page.family("brigade_store_requests_in_progress", Kind::Gauge, help);
    all.iter().for_each(|(op, counted, _)| family.sample(&[("operation", op.name())], counted.under_way));
    let help = "Requests to the store that repeated one that had failed.";
    let mut family = page.family("brigade_store_retries_total", Kind::Counter, help);
    all.iter().for_each(|(op, _, repeats)| family.sample(&[("operation", op.name())], repeats));
    let help = "Bytes of contents that were sent to the store or came from it.";
    let mut family = page.family("brigade_store_bytes_total", Kind::Counter, help);
    let moving = all.iter().filter(|(_, counted, _)| counted.bytes > 0);
    moving.for_each(|(op, counted, _)| family.sample(&[("operation", op.name())], counted.bytes));
    let help = "How long requests to the store took, until the answer began.";
    let mut family = page.family("brigade_store_request_duration_seconds", Kind::Histogram, help);
    all.iter().for_each(|(op, counted, _)| family.histogram(&[("operation", op.name())], &counted.times));
    let help = "What requests to the store cost, in US dollars, estimated.";
    let mut family = page.family("brigade_store_cost_dollars_total", Kind::Counter, help);
    for (op, counted, _) in all {
        family.sample(&[("operation", op.name())], seconds(counted.begun * prices::nano_usd(*op) / 1000));
    }
    let outage = view.outage.map_or(0, |outage| outage.as_secs());
    page.single("brigade_store_outage_seconds", Kind::Gauge, "For how long the store has not answered.", outage);
}

/// The samples of all outcomes of one operation.
fn outcomes(
    operation: &str,
    counted: &Counted,
    name: impl Fn(usize) -> &'static str,
    mut sample: impl FnMut(&[(&str, &str)], u64),
) {
    sample(&[("operation", operation), ("result", "ok")], counted.ok);
    for (reason, times) in by_name(counted, name) {
        sample(&[("operation", operation), ("result", &reason)], times);
    }
}

fn files(page: &mut Page, figures: &Figures) {
    let bytes = |of: fn(&Dirty) -> u64| figures.dirty.iter().map(of).sum::<u64>();
    let rows: &[(&'static str, &str, u64)] = &[
        ("brigade_memory_bytes", "Memory for contents that is taken.", figures.memory_bytes),
        ("brigade_memory_limit_bytes", "Memory for contents that may be taken.", figures.memory_limit_bytes),
        ("brigade_memory_waiting", "Requests that wait for memory.", figures.memory_waiting as u64),
        ("brigade_files_open", "Files that are open, once for each open.", figures.files_open as u64),
        ("brigade_directories_open", "Directories that are open.", figures.directories_open as u64),
        ("brigade_files_known", "Files and directories that are remembered.", figures.inodes as u64),
        ("brigade_files_dirty", "Files that the bucket does not have as they are.", figures.dirty.len() as u64),
        ("brigade_dirty_bytes", "Bytes of those files.", bytes(|dirty| dirty.size_bytes)),
        ("brigade_unsent_bytes", "Bytes that the store has not taken.", bytes(|dirty| dirty.unsent_bytes)),
        ("brigade_removals_waiting", "Objects of removed files that the bucket still has.", figures.removals as u64),
    ];
    rows.iter().for_each(|(name, help, value)| page.single(name, Kind::Gauge, help, value));
    if let Some(journal) = figures.journal {
        let help = "Files that are in the journal and not in the bucket.";
        page.single("brigade_journal_files", Kind::Gauge, help, journal.files);
        page.single("brigade_journal_bytes", Kind::Gauge, "What the journal takes of its disk.", journal.bytes);
        let help = "What the journal may take of its disk.";
        page.single("brigade_journal_limit_bytes", Kind::Gauge, help, journal.limit_bytes);
    }
}

fn caches(page: &mut Page, observatory: &Observatory, figures: &Figures) {
    let help =
        "What was looked for here first: names, metadata of listed objects, contents that are read, blocks on disk.";
    let mut family = page.family("brigade_cache_requests_total", Kind::Counter, help);
    let in_memory = [("names", figures.lookups), ("metadata", figures.metadata), ("reads", observatory.reads())];
    let on_disk = figures.blocks.map(|figures| ("blocks", figures.blocks));
    for (cache, hits) in in_memory.into_iter().chain(on_disk) {
        family.sample(&[("cache", cache), ("result", "hit")], hits.hits);
        family.sample(&[("cache", cache), ("result", "miss")], hits.misses);
    }
    let Some(disk) = figures.blocks else { return };
    let help = "Bytes of contents that came from blocks on disk, and those that came from the store.";
    let mut family = page.family("brigade_cache_bytes_total", Kind::Counter, help);
    family.sample(&[("cache", "blocks"), ("result", "hit")], disk.hit_bytes);
    family.sample(&[("cache", "blocks"), ("result", "miss")], disk.miss_bytes);
    page.single("brigade_cache_disk_bytes", Kind::Gauge, "What blocks take of their disk.", disk.bytes);
    let help = "What blocks may take of their disk.";
    page.single("brigade_cache_disk_limit_bytes", Kind::Gauge, help, disk.limit_bytes);
    let help = "Blocks that wait to be written.";
    page.single("brigade_cache_blocks_waiting", Kind::Gauge, help, disk.waiting);
    let help = "Blocks that were not kept, because too many waited or the disk refused.";
    page.single("brigade_cache_blocks_dropped_total", Kind::Counter, help, disk.dropped);
    let help = "Blocks that were not what they had been when they were kept.";
    page.single("brigade_cache_blocks_damaged_total", Kind::Counter, help, disk.damaged);
}
