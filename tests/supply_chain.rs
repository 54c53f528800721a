//! What the crate is built of (SP17): few direct dependencies, all from crates.io, each fixed by a checksum.
//!
//! May touch: std, and the manifest and lock file of this package as text. Invariant: each rule shows on bad text that it
//! would notice.

/// Every direct dependency of a build with all features. One more is a decision, and comes with a reason in Cargo.toml.
const DIRECT: [&str; 7] = ["bytes", "data-encoding", "dns-lookup", "libc", "mio", "slab", "socket2"];

/// What comes with the features only that can be turned off.
const OPTIONAL: [&str; 2] = ["bytes", "data-encoding"];

fn read(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file of the package")
}

/// The names in the section `[dependencies]`, and whether they are optional.
fn direct(manifest: &str) -> Vec<(&str, bool)> {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let section = lines.take_while(|line| !line.starts_with('['));
    let entries = section.filter(|line| line.starts_with(|letter: char| letter.is_ascii_alphabetic()));
    let mut found: Vec<_> = entries
        .filter_map(|line| line.split_once('='))
        .map(|(name, what)| (name.trim(), what.contains("optional = true")))
        .collect();
    found.sort_unstable();
    found
}

/// The packages of a lock file that are not fixed: from elsewhere than crates.io, or without a checksum.
fn not_fixed(lock: &str) -> Vec<&str> {
    const REGISTRY: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let packages = lock.split("[[package]]").skip(1);
    let fixed = |package: &&str| {
        package.lines().any(|line| line == REGISTRY) && package.lines().any(|line| line.starts_with("checksum = \""))
    };
    let own = |package: &&str| package.contains("name = \"halfclose\"\n");
    let others = packages.filter(|package| !own(package) && !fixed(package));
    others.filter_map(|package| package.trim_start().lines().next()).collect()
}

#[test]
fn sp17_dependencies_are_few() {
    let sample = "[dependencies]\n# For a.\na = \"1\"\nb = { version = \"1\", optional = true }\n\n[dev-dependencies]\nc = \"1\"\n";
    assert_eq!(direct(sample), [("a", false), ("b", true)]);
    let manifest = read("Cargo.toml");
    let found = direct(&manifest);
    assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), DIRECT);
    let optional: Vec<_> = found.iter().filter(|(_, optional)| *optional).map(|(name, _)| *name).collect();
    assert_eq!(optional, OPTIONAL);
    assert!(!manifest.contains("git ="), "everything is from crates.io");
    assert!(!manifest.contains("build ="), "no build script");
}

#[test]
fn sp17_dependencies_are_fixed() {
    let from =
        |source: &str, checksum: &str| format!("[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n{source}{checksum}\n");
    let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    let checksum = "checksum = \"00\"\n";
    assert!(not_fixed(&from(registry, checksum)).is_empty());
    for bad in [from("", checksum), from(registry, ""), from("source = \"git+https://example.com/a\"\n", checksum)] {
        assert_eq!(not_fixed(&bad), ["name = \"a\""], "{bad}");
    }
    let lock = read("Cargo.lock");
    assert!(lock.matches("[[package]]").count() > 10);
    assert!(not_fixed(&lock).is_empty(), "{:?}", not_fixed(&lock));
}
