// What an optimizer does with all parameters of a model, some tensors to a launch: the sum of squares of the gradients, an
// update of AdamW, an exponential moving average. All float32 and contiguous; sums in float64, in an order that does not
// depend on which block comes first, so that two runs give the same bits.
//
// A block takes CHUNK values of one tensor. Which tensor it is says `first`: the tensor's first block, in the launch.

constexpr int TENSORS = 64;
constexpr int CHUNK = 4096;
constexpr int THREADS = 256;

struct Tensors {
  float *parameter[TENSORS];
  float *gradient[TENSORS];
  float *mean[TENSORS];   // of an average: the average
  float *square[TENSORS];
  long long count[TENSORS];
  int first[TENSORS + 1]; // first[tensors] is the number of blocks
  float decay[TENSORS];   // what a parameter is multiplied by first
  float rate[TENSORS];    // learning rate over the first moment's bias correction
  int tensors;
};

struct Step {
  float scale; // of the gradients
  float beta1, oneLess1, beta2, oneLess2;
  float squareCorrection; // root of the second moment's bias correction
  float epsilon;
  int reserved;
};

// The tensor of this block: the last one whose first block is not behind it.
__device__ __forceinline__ int tensorOf(const Tensors &all) {
  int low = 0, high = all.tensors - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (all.first[middle] <= (int)blockIdx.x) low = middle;
    else high = middle - 1;
  }
  return low;
}

__device__ __forceinline__ double sumOfBlock(double value, double *shared) {
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

// parts[firstPart + block] = sum of squares of the block's values.
extern "C" __global__ void __launch_bounds__(THREADS)
squares(const __grid_constant__ Tensors all, double *parts, int firstPart) {
  __shared__ double shared[THREADS];
  const int tensor = tensorOf(all);
  const long long from = (long long)(blockIdx.x - all.first[tensor]) * CHUNK;
  const float *gradient = all.gradient[tensor] + from;
  const int count = (int)min((long long)CHUNK, all.count[tensor] - from);
  float values[CHUNK / THREADS];
#pragma unroll
  for (int i = 0; i < CHUNK / THREADS; i++) {
    const int at = i * THREADS + threadIdx.x;
    values[i] = at < count ? gradient[at] : 0.0f;
  }
  double sum = 0;
#pragma unroll
  for (int i = 0; i < CHUNK / THREADS; i++) sum += (double)values[i] * (double)values[i];
  sum = sumOfBlock(sum, shared);
  if (threadIdx.x == 0) parts[firstPart + blockIdx.x] = sum;
}

// total[0] = sum of the parts. One block.
extern "C" __global__ void __launch_bounds__(THREADS) sum_parts(const double *parts, int count, double *total) {
  __shared__ double shared[THREADS];
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += THREADS) sum += parts[i];
  sum = sumOfBlock(sum, shared);
  if (threadIdx.x == 0) total[0] = sum;
}

// An update of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2).
extern "C" __global__ void __launch_bounds__(THREADS)
adamw(const __grid_constant__ Tensors all, const __grid_constant__ Step step) {
  const int tensor = tensorOf(all);
  const long long from = (long long)(blockIdx.x - all.first[tensor]) * CHUNK;
  float *parameters = all.parameter[tensor] + from;
  const float *gradients = all.gradient[tensor] + from;
  float *means = all.mean[tensor] + from;
  float *squaresOf = all.square[tensor] + from;
  const int count = (int)min((long long)CHUNK, all.count[tensor] - from);
  const float decay = all.decay[tensor], rate = all.rate[tensor];
#pragma unroll 4
  for (int at = threadIdx.x; at < count; at += THREADS) {
    const float gradient = gradients[at] * step.scale;
    const float mean = means[at] * step.beta1 + gradient * step.oneLess1;
    const float square = squaresOf[at] * step.beta2 + gradient * gradient * step.oneLess2;
    means[at] = mean;
    squaresOf[at] = square;
    const float denominator = sqrtf(square) / step.squareCorrection + step.epsilon;
    parameters[at] = parameters[at] * decay - rate * (mean / denominator);
  }
}

// average += share (parameter - average).
extern "C" __global__ void __launch_bounds__(THREADS) average(const __grid_constant__ Tensors all, float share) {
  const int tensor = tensorOf(all);
  const long long from = (long long)(blockIdx.x - all.first[tensor]) * CHUNK;
  const float *parameters = all.parameter[tensor] + from;
  float *averages = all.mean[tensor] + from;
  const int count = (int)min((long long)CHUNK, all.count[tensor] - from);
#pragma unroll 4
  for (int at = threadIdx.x; at < count; at += THREADS) {
    const float old = averages[at];
    averages[at] = old + share * (parameters[at] - old);
  }
}
