//! Writes the seeds of targets into folders of their names: `seeds DIRECTORY TARGET...`.

use std::fs;
use std::path::Path;

use hsm_jose_fuzz::seeds;
// With the coverage of a fuzz build, it is libFuzzer that has the counters' functions.
use libfuzzer_sys as _;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("seeds DIRECTORY TARGET...");
    for target in arguments {
        let directory = Path::new(&directory).join(&target);
        fs::create_dir_all(&directory).expect("a folder");
        for (number, seed) in seeds::of(&target).into_iter().enumerate() {
            fs::write(directory.join(format!("{number:04}")), seed).expect("a file");
        }
    }
}
