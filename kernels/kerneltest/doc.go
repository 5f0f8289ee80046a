// Package kerneltest tests a [kernels.Backend] against a reference backend. A
// backend's test is one line:
//
//	kerneltest.NewSuite(oracle.New()).Run(t, backend)
//
// Every op has a case struct; [Cases] lists the cases. A case is a plan of one
// op, so the backend needs only the interface that training uses. Each case is
// guarded:
//
//   - each tensor lies between fences inside a longer buffer, and neither
//     fences nor inputs may change;
//   - outputs hold NaN or 0xDEADBEEF before the op, as do the fences of its
//     inputs, so that an element left out or read from outside shows;
//   - the op runs twice on the same data and must give the same bits.
//
// # Tolerance
//
// In float32 a sum of K products, in any order and with or without fused
// multiply-add, differs from the exact one by at most about K·u·Σ|aᵢbᵢ| with
// u = 2⁻²⁴ (Higham, "Accuracy and Stability of Numerical Algorithms", §3.1).
// A case of such an op therefore allows
//
//	|got − ref| ≤ (K+8)·u·Σ|aᵢbᵢ|
//
// and gets Σ|aᵢbᵢ| by running the reference on absolute values. If K is large,
// that bound is wide enough to hide a lost term, so each shape also runs on
// small integers, whose sums are exact in float32 in any order and must match
// exactly, unless the backend computes the case in large tiles (see [Winograd]). The
// other ops' bounds are derived next to their cases.
package kerneltest
