//! What this machine can run: where the build folder is, which peers and tools are there, and why others are not.
//!
//! May touch: the build folder, the PATH, a C compiler. Invariant: everything that is written lies in one folder of the
//! build folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// The C sources of the libuv peer, which are compiled where libuv's development package is.
const LIBUV_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/peers/libuv.c");

/// The program that Node runs.
pub const NODE_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/peers/node.js");

pub struct Toolbox {
    /// This program, which is every server of Rust and every client as well.
    pub own: PathBuf,
    /// Where sockets and results go: `compare` in the build folder.
    pub folder: PathBuf,
    /// Where cargo builds: the folder that holds `release`.
    pub target: PathBuf,
    pub libuv: Result<PathBuf, String>,
    pub node: Result<PathBuf, String>,
    pub valgrind: Result<PathBuf, String>,
}

impl Toolbox {
    pub fn look_around() -> Result<Toolbox, String> {
        let own = env::current_exe().map_err(|error| error.to_string())?;
        // target/release/deps/compare-0123456789abcdef
        let target = own.ancestors().nth(3).ok_or("this program is not in a build folder")?.to_owned();
        let folder = target.join("compare");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let node = on_path("node");
        let valgrind = on_path("valgrind");
        Ok(Toolbox { libuv: compile_libuv(&folder), own, folder, target, node, valgrind })
    }

    /// A path for a socket, relative to the folder, so that it is short enough whatever the folder is called.
    pub fn socket_path(&self, number: usize) -> String {
        let path = format!("{}-{number}.socket", process::id());
        // From a run of the same number that was killed.
        let _ = fs::remove_file(self.folder.join(&path));
        path
    }
}

impl Drop for Toolbox {
    fn drop(&mut self) {
        let Ok(files) = fs::read_dir(&self.folder) else { return };
        let ours = format!("{}-", process::id());
        for file in files.flatten() {
            if file.file_name().to_string_lossy().starts_with(&ours) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

fn on_path(program: &str) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file());
    found.ok_or_else(|| format!("`{program}` is not on the PATH"))
}

fn compile_libuv(folder: &Path) -> Result<PathBuf, String> {
    on_path("pkg-config")?;
    let flags = output(Command::new("pkg-config").args(["--cflags", "--libs", "libuv"]))
        .map_err(|_| "libuv's development package is not installed".to_owned())?;
    let program = folder.join("libuv");
    // The same level of optimisation as the release profile.
    let mut compiler = Command::new("cc");
    compiler.arg("-O3").arg("-o").arg(&program).arg(LIBUV_SOURCE).args(flags.split_whitespace());
    output(&mut compiler).map(|_| program).map_err(|error| format!("libuv.c does not compile: {error}"))
}

/// What a command prints, or why it failed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// What the results depend on, as names and values.
pub fn machine(toolbox: &Toolbox) -> Vec<(String, String)> {
    let line = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let found = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
        found.map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let version = |program: &str, argument: &str| output(Command::new(program).arg(argument)).ok();
    let or_absent = |version: Option<String>| version.unwrap_or_else(|| "absent".to_owned());
    let rows = [
        ("processor", format!("{}, {} cores", line("/proc/cpuinfo", "model name"), crate::process::cores())),
        ("memory", gibibytes(&line("/proc/meminfo", "MemTotal"))),
        ("kernel", or_absent(version("uname", "-sr"))),
        (
            "virtual machine",
            if line("/proc/cpuinfo", "flags").contains("hypervisor") { "yes" } else { "no" }.to_owned(),
        ),
        ("Rust", or_absent(version("rustc", "--version"))),
        ("libuv", or_absent(output(Command::new("pkg-config").args(["--modversion", "libuv"])).ok())),
        ("Node", or_absent(toolbox.node.as_ref().ok().and_then(|_| version("node", "--version")))),
        ("valgrind", or_absent(toolbox.valgrind.as_ref().ok().and_then(|_| version("valgrind", "--version")))),
    ];
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `24684084 kB` as a person says it.
fn gibibytes(text: &str) -> String {
    let kibibytes = text.trim_end_matches(" kB").parse::<f64>();
    kibibytes.map_or_else(|_| text.to_owned(), |kibibytes| format!("{:.1} GiB", kibibytes / 1024.0 / 1024.0))
}
