//! What a measurement ran on, in a line.

/// Cores, processor, memory, kernel.
pub fn described() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = memory.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<&str> = kernel.trim().split('.').take(2).collect();
    let gibibytes = (kibibytes + (1 << 19)) >> 20;
    format!("{cores} cores ({}), {gibibytes} GiB, kernel {}", model.unwrap_or("unknown processor"), kernel.join("."))
}
