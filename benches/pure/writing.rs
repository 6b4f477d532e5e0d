//! Bytes to parts, parts to an upload, changes to a commit.

use brigade::base::pool::Pool;
use brigade::store::ETag;
use brigade::store::Facts;
use brigade::store::Part;
use brigade::store::PartNumber;
use brigade::store::Payload;
use brigade::store::UploadId;
use brigade::wire::checksum::Algorithm;
use brigade::wire::checksum::Running;
use brigade::writer::overlay::Overlay;
use brigade::writer::plan::plan;
use brigade::writer::schedule::Schedule;
use brigade::writer::stream::Base;
use brigade::writer::tail::Tail;
use brigade::writer::upload::Action;
use brigade::writer::upload::Event;
use brigade::writer::upload::Upload;
use bytes::Bytes;
use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use std::hint::black_box;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const PART_BYTES: u64 = 8 * MIB;
/// Bytes of one request of the kernel.
const WRITE_BYTES: usize = 1 << 20;
const PARTS: u32 = 1000;
const CHANGES: u64 = 1000;

/// Parts of 8 MiB from writes of 1 MiB: copied and checksummed, the memory of the last one used again.
pub fn assembly(criterion: &mut Criterion) {
    let pool = Pool::new(64 * MIB);
    // Held throughout, so that the pool stays in use and keeps its memory.
    let _held = pool.try_take().expect("nothing is used yet");
    let written = vec![7; WRITE_BYTES];
    let mut tail = Tail::new(&pool);
    let mut group = criterion.benchmark_group("part of 8 MiB");
    group.throughput(Throughput::Bytes(PART_BYTES));
    group.bench_function("assembled", |bencher| {
        bencher.iter(|| {
            while tail.len() < PART_BYTES {
                assert_eq!(tail.fill(black_box(&written), PART_BYTES), WRITE_BYTES, "the memory is enough");
            }
            tail.cut()
        });
    });
    group.finish();
}

/// What protects the bytes of a part.
pub fn checksums(criterion: &mut Criterion) {
    let part = vec![7; usize::try_from(PART_BYTES).expect("a part fits in memory")];
    let mut group = criterion.benchmark_group("checksum of 8 MiB");
    group.throughput(Throughput::Bytes(PART_BYTES));
    for algorithm in [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Sha256] {
        group.bench_function(algorithm.name(), |bencher| {
            bencher.iter(|| {
                let mut running = Running::new(algorithm);
                running.update(black_box(&part));
                running.finish()
            });
        });
    }
    group.finish();
}

/// The machine of an upload of 1,000 parts, with four in flight, and the sizes of its parts.
pub fn upload(criterion: &mut Criterion) {
    let schedule = Schedule::new(&Facts::S3, PART_BYTES, PART_BYTES);
    let mut group = criterion.benchmark_group("upload of 1,000 parts");
    group.throughput(Throughput::Elements(PARTS.into()));
    group.bench_function("driven", |bencher| bencher.iter(|| drive(Upload::new(schedule.clone(), 4, 0))));
    group.bench_function("sized", |bencher| {
        bencher
            .iter(|| (1..=PARTS).filter_map(|number| black_box(&schedule).part_bytes(PartNumber(number))).sum::<u64>());
    });
    group.finish();
}

/// Pushes a part for each that was stored, answers all actions in their order, and ends with the object.
fn drive(mut upload: Upload) -> Upload {
    let part = || Payload::from(Bytes::from_static(b"the bytes of a part"));
    for pushed in 0.. {
        if pushed < PARTS {
            upload.push(part());
        } else if !upload.is_finishing() {
            upload.finish(Payload::default());
        }
        let mut actions = Vec::new();
        while let Some(action) = upload.poll() {
            actions.push(action);
        }
        actions.into_iter().for_each(|action| upload.on_event(answer(action)));
        if upload.outcome().is_some() {
            break;
        }
    }
    upload
}

fn answer(action: Action) -> Event {
    let etag = || ETag::new("\"0123456789abcdef0123456789abcdef\"");
    match action {
        Action::PutWhole(_) | Action::Complete(..) => Event::Stored(etag()),
        Action::Create => Event::Created(UploadId("an upload".to_owned())),
        Action::PutPart(_, number, _) | Action::CopyPart(_, number, _) => {
            Event::PartStored(Part { number, etag: etag(), size: PART_BYTES, crc64nvme: Some(7), crc32c: None })
        }
        Action::Abort(_) => Event::Aborted,
    }
}

/// The parts of a gibibyte of which 1,000 blocks of 4 KiB were changed.
pub fn commit(criterion: &mut Criterion) {
    let schedule = Schedule::new(&Facts::S3, PART_BYTES, PART_BYTES);
    let changed = || {
        let base = Base { key: "a file".to_owned(), etag: ETag::new("\"1\""), size: GIB };
        let mut overlay = Overlay::over(Pool::new(64 * MIB), base);
        for at in 0..CHANGES {
            overlay.write(at * (GIB / CHANGES), &[7; 4096], 64 * MIB);
        }
        overlay
    };
    let mut group = criterion.benchmark_group("1,000 changes in 1 GiB");
    group.throughput(Throughput::Elements(CHANGES));
    let overlay = changed();
    group.bench_function("planned", |bencher| bencher.iter(|| plan(black_box(&overlay), &schedule, GIB)));
    group.sample_size(20);
    group.bench_function("taken", |bencher| bencher.iter_batched(|| (), |()| changed(), BatchSize::PerIteration));
    group.finish();
}
