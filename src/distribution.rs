//! Distributions, as functions of uniform random numbers, wherever those come from.
//!
//! They are made with `libm`, whose results are the same on every platform, unlike those of the system's mathematics
//! library.

/// The number in (0, 1] that random bits stand for.
pub fn unit(bits: u64) -> f64 {
    // 53 bits, and never zero.
    ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Standard normal, by Box and Muller, from two numbers that are uniform in (0, 1].
pub fn normal(radius: f64, angle: f64) -> f64 {
    libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(std::f64::consts::TAU * angle)
}

/// Log-normal with this median and 90th percentile, from a number that is standard normal. `ln(p90 / median) =
/// 1.2816 sigma`, the normal distribution's own 90th percentile.
pub fn log_normal(normal: f64, median: f64, p90: f64) -> f64 {
    let sigma = libm::log(p90 / median) / 1.281_551_565_544_600_4;
    median * libm::exp(sigma * normal)
}
