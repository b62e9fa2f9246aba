// The sLSTM cell with its recurrent kernel held in the shared memory of a cluster of blocks: sm_90 and newer.
//
// A cluster has one head and 16 sequences; each of its C blocks has W warps, each warp eight units with their four gates.
// At a token a warp multiplies y of the token before (16 sequences x DH) by its columns of the recurrent kernel with the
// matrix units (mma.sync m16n8k16, bf16 operands, float32 sums). The accumulators of a thread are then the four gates of
// two units and two sequences, so the gates need no exchange; c, n and m stay in registers. The new y goes to every block
// of the cluster by asynchronous stores into its shared memory, which count as they arrive on a barrier there: one way
// through the cluster is all that a token waits for.
//
// float32: an operand x is the sum of two bfloat16 values, x = high + low, and a product is high high + high low + low high
// (error 2^-16 of an operand). bfloat16: one product.
//
// Grid (C, NH, ceil(B / 16)), cluster (C, 1, 1), block 32 W; C W >= ceil(DH / 8).
#include "cluster_backward.cuh"
#include "cluster_forward.cuh"
#include "cluster_fragments.cuh"

extern "C" {
__global__ void __launch_bounds__(256, 1) forward_f32(const __grid_constant__ Forward<float> a) { forward(a); }
__global__ void __launch_bounds__(256, 1) forward_bf16(const __grid_constant__ Forward<bf16> a) { forward(a); }
__global__ void __launch_bounds__(256, 1) backward_f32(const __grid_constant__ Backward<float> a) { backward(a); }
__global__ void __launch_bounds__(256, 1) backward_bf16(const __grid_constant__ Backward<bf16> a) { backward(a); }
__global__ void forward_fragments_f32(const float *r, uint4 *to, const __grid_constant__ FragmentShape s) {
  forwardFragments(r, to, s);
}
__global__ void forward_fragments_bf16(const bf16 *r, uint4 *to, const __grid_constant__ FragmentShape s) {
  forwardFragments(r, to, s);
}
__global__ void backward_fragments_f32(const float *r, uint4 *to, const __grid_constant__ FragmentShape s) {
  backwardFragments(r, to, s);
}
__global__ void backward_fragments_bf16(const bf16 *r, uint4 *to, const __grid_constant__ FragmentShape s) {
  backwardFragments(r, to, s);
}
}
