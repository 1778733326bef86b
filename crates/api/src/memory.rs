//! What the program takes of the memory.

/// Bytes that are resident; 0 where the system does not say.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    resident_of(&status).unwrap_or(0)
}

/// Takes the size out of `/proc/PID/status` (proc(5)).
fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_size_is_taken_from_what_the_system_says() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    2048 kB\nVmData:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(resident_of("VmRSS: many kB\n"), None);
        assert!(resident() > 1 << 20);
    }
}
