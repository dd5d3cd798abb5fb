//! Pure functions over histograms and samples; no I/O. One file per topic under `stats/`.
