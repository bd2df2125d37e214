use std::fs;

/// Threads, open files and memory mappings of this process.
pub(crate) fn held() -> [usize; 3] {
    let entries = |of: &str| fs::read_dir(of).expect("procfs is mounted").count();
    let maps = fs::read_to_string("/proc/self/maps").expect("procfs is mounted");
    [
        entries("/proc/self/task"),
        entries("/proc/self/fd"),
        maps.lines().count(),
    ]
}
