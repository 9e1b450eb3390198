//! Reads a collection of odd and of ordinary captures to the end: whatever they contain, reading finishes, and what
//! cannot be read says why. `$EGRESSIM_DATA/captures` holds them; without the variable there is nothing to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use egressim::capture::{RECORD_LIMIT, Reader, network_layer};

#[test]
fn every_capture_of_the_collection_is_read_to_its_end() {
    let Some(data) = env::var_os("EGRESSIM_DATA") else {
        println!("skipped: EGRESSIM_DATA is not set");
        return;
    };
    let captures = Path::new(&data).join("captures");
    let mut files = Vec::new();
    for folder in ["odd", "traffic"] {
        collect(&captures.join(folder), &mut files);
    }
    assert!(!files.is_empty(), "there are no captures under {}", captures.display());
    files.sort();

    let (mut readable, mut packets) = (0, 0_u64);
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for path in &files {
        let mut reader = match Reader::open(path) {
            Ok(reader) => reader,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                println!("{}: {error}", path.display());
                continue;
            }
        };
        while let Some(frame) = reader.next_frame() {
            assert!(frame.bytes.len() <= RECORD_LIMIT);
            assert!(frame.bytes.len() <= frame.original_length as usize);
            match network_layer(frame.link_type, frame.bytes) {
                Ok(packet) => {
                    assert!(matches!(packet[0] >> 4, 4 | 6));
                    packets += 1;
                }
                Err(reason) => *reasons.entry(reason.to_string()).or_default() += 1,
            }
        }
        match reader.damage() {
            Some(damage) => {
                assert!(damage.offset <= fs::metadata(path).unwrap().len());
                println!("{}: {} records, then {damage}", path.display(), reader.records());
            }
            None => readable += 1,
        }
        for (oddity, count) in reader.oddities().iter() {
            println!("{}: {} ({count})", path.display(), oddity.name());
        }
    }
    println!("{readable} of {} readable, {packets} IP packets, not IP: {reasons:#?}", files.len());
    assert!(readable * 10 >= files.len() * 9, "only {readable} of {} are readable", files.len());
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
