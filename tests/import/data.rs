//! Real configuration of other people: everything imports, what is good runs and is traced, what is wrong gets its finding.

