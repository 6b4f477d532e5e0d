//! Keeps the structure of the tree: layers, confinement, headers, documents that name real files.
