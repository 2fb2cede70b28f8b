/* Direct convolutions that skip pruned weights, and batch-norm with ReLU, on one core of a CPU.

   Activations lie in memory as (channels, height, width, batch): whatever a weight is multiplied with is contiguous over
   the batch, and for stride 1 over a whole row, so that a single weight makes full vectors of work. So it costs nothing
   to leave out any weight, and channels may be as few as they like. Every output is summed in the same order
   whatever else is in the stack. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define WIDEST 8 /* vectors of sums that stay in registers */
#define NEAR 1024 /* floats that stay in the first cache beside what is read with them */

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4)));
typedef ptrdiff_t size;

static inline vector load(const float *from) { return *(const vector *)from; }

static inline float total(vector of) {
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += of[lane];
    return sum;
}

/* How something is convolved: trainables/kernels/convolution.py makes it, in this order, of 64 bits each.

   The taps of channel c are numbers start[c] to start[c + 1]: each reads what is `offset` pixels after the output's own
   place, and multiplies it with the weight at `place`. Rows consist of segments that are contiguous in what is read;
   all sizes are in pixels, each of which is a whole batch. */
typedef struct {
    const int32_t *start, *offset, *place;
    size channels, of_model, at, rows, segments, length, x_row, x_segment, y_channel, y_row, y_segment;
} Pass;

#define SUMS(COUNT)                                                                                        \
    static inline void sums_##COUNT(const Pass *pass, size channel, const float *x, float *y, const float *weights,      \
                                    size batch) {                                                          \
        vector sum[COUNT];                                                                                 \
        for (int k = 0; k < COUNT; k++) sum[k] = (vector){0};                                              \
        for (int32_t tap = pass->start[channel]; tap < pass->start[channel + 1]; tap++) {                  \
            const float *own = x + pass->offset[tap] * batch, weight = weights[pass->place[tap]];          \
            for (int k = 0; k < COUNT; k++) sum[k] += weight * load(own + k * LANES);                      \
        }                                                                                                  \
        for (int k = 0; k < COUNT; k++) *(vector *)(y + k * LANES) = sum[k];                               \
    }
SUMS(8)
SUMS(4)
SUMS(2)
SUMS(1)

static inline void sum_scalars(const Pass *pass, size channel, const float *x, float *y, const float *weights,
                               size batch, size count) {
    for (size k = 0; k < count; k++) {
        float sum = 0;
        for (int32_t tap = pass->start[channel]; tap < pass->start[channel + 1]; tap++)
            sum += weights[pass->place[tap]] * x[pass->offset[tap] * batch + k];
        y[k] = sum;
    }
}

/* Every output: the sum over its channel's taps. */
void convolve(const Pass *pass, const float *x, float *y, const float *weights, size batch) {
    const size length = pass->length * batch, channels = pass->channels, of_model = pass->of_model;
    for (size model = 0; model < channels; model += of_model)
        for (size row = 0; row < pass->rows; row++)
            for (size segment = 0; segment < pass->segments; segment++)
                for (size at = 0, step; at < length; at += step) {
                    const size left = length - at;
                    const float *own = x + (row * pass->x_row + segment * pass->x_segment) * batch + at;
                    float *out = y + (pass->at + row * pass->y_row + segment * pass->y_segment) * batch + at;
                    step = LANES * WIDEST;
                    while (step > left && step > LANES) step /= 2;
                    if (step > left) step = left;
                    for (size channel = model; channel < model + of_model; channel++) {
                        float *here = out + channel * pass->y_channel * batch;
                        if (step == 8 * LANES) sums_8(pass, channel, own, here, weights, batch);
                        else if (step == 4 * LANES) sums_4(pass, channel, own, here, weights, batch);
                        else if (step == 2 * LANES) sums_2(pass, channel, own, here, weights, batch);
                        else if (step == LANES) sums_1(pass, channel, own, here, weights, batch);
                        else sum_scalars(pass, channel, own, here, weights, batch, step);
                    }
                }
}

/* Adds to the gradient of every weight that is a tap: the sum of the output's gradient times what the tap read.
   Four taps at a time, over some rows at a time, so that the gradient is read once and stays near. */
void weight_gradients(const Pass *pass, const float *x, const float *y_gradient, float *gradient, size batch) {
    const size length = pass->length * batch, y_row = pass->segments * length, rows = pass->rows;
    const size at_once = y_row < NEAR ? NEAR / y_row : 1;
    for (size from = 0; from < rows; from += at_once) {
        const size to = from + at_once < rows ? from + at_once : rows;
        for (size channel = 0; channel < pass->channels; channel++)
            for (int32_t tap = pass->start[channel], last = pass->start[channel + 1]; tap < last; tap += 4) {
                const int count = last - tap < 4 ? last - tap : 4;
                const float *read[4];
                for (int k = 0; k < 4; k++) read[k] = x + pass->offset[tap + (k < count ? k : 0)] * batch;
                vector sum[4] = {{0}, {0}, {0}, {0}};
                float rest[4] = {0, 0, 0, 0};
                for (size row = from; row < to; row++)
                    for (size segment = 0; segment < pass->segments; segment++) {
                        const float *own = y_gradient + (channel * rows + row) * y_row + segment * length;
                        const size at = (row * pass->x_row + segment * pass->x_segment) * batch;
                        size k = 0;
                        for (; k + LANES <= length; k += LANES) {
                            const vector here = load(own + k);
                            for (int which = 0; which < 4; which++) sum[which] += here * load(read[which] + at + k);
                        }
                        for (; k < length; k++)
                            for (int which = 0; which < 4; which++) rest[which] += own[k] * read[which][at + k];
                    }
                for (int k = 0; k < count; k++) gradient[pass->place[tap + k]] += total(sum[k]) + rest[k];
            }
    }
}

/* Copies rows of `row` floats into zeros, with `left` floats on both of their sides and `top` rows on theirs. */
void pad(const float *x, float *y, size channels, size rows, size row, size top, size left) {
    const size wide = row + 2 * left;
    for (size channel = 0; channel < channels; channel++) {
        memset(y, 0, sizeof(float) * wide * top);
        y += wide * top;
        for (size each = 0; each < rows; each++, y += wide, x += row) {
            memset(y, 0, sizeof(float) * left);
            memcpy(y + left, x, sizeof(float) * row);
            memset(y + left + row, 0, sizeof(float) * left);
        }
        memset(y, 0, sizeof(float) * wide * top);
        y += wide * top;
    }
}

/* y = x * scale + shift for every channel of `count` floats, then ReLU if asked for. */
void scale_and_shift(const float *x, float *y, const float *scale, const float *shift, size channels, size count,
                     int relu) {
    for (size channel = 0; channel < channels; channel++, x += count, y += count) {
        const float a = scale[channel], b = shift[channel], least = relu ? 0.0f : -INFINITY;
        for (size k = 0; k < count; k++) {
            const float own = x[k] * a + b;
            y[k] = own < least ? least : own; /* NaN stays NaN */
        }
    }
}

static inline float sum_of(const float *x, size count) {
    vector sum[4] = {{0}, {0}, {0}, {0}};
    float rest = 0;
    size k = 0;
    for (; k + 4 * LANES <= count; k += 4 * LANES)
        for (int part = 0; part < 4; part++) sum[part] += load(x + k + part * LANES);
    for (; k < count; k++) rest += x[k];
    return total((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

static inline float squares_around(const float *x, size count, float middle) {
    vector sum[4] = {{0}, {0}, {0}, {0}};
    float rest = 0;
    size k = 0;
    for (; k + 4 * LANES <= count; k += 4 * LANES)
        for (int part = 0; part < 4; part++) {
            const vector from = load(x + k + part * LANES) - middle;
            sum[part] += from * from;
        }
    for (; k < count; k++) rest += (x[k] - middle) * (x[k] - middle);
    return total((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

/* Batch-norm of every channel of `count` floats by their own mean and variance, then ReLU if asked for. Four rows of
   `channels` floats are noted for the gradients: mean, 1 / deviation, and scale and shift, as y = x * scale + shift.
   The running statistics, if there are any, move by `momentum` toward the mean and the corrected variance. */
void normalise(const float *x, float *y, const float *weight, const float *bias, float *noted, float *running_mean,
               float *running_variance, float momentum, float epsilon, size channels, size count, int relu) {
    float *mean = noted, *inverse = mean + channels, *scale = inverse + channels, *shift = scale + channels;
    for (size c = 0; c < channels; c++) {
        mean[c] = sum_of(x + c * count, count) / count;
        const float squares = squares_around(x + c * count, count, mean[c]);
        inverse[c] = 1 / sqrtf(squares / count + epsilon);
        scale[c] = weight[c] * inverse[c];
        shift[c] = bias[c] - mean[c] * scale[c];
        if (running_mean) {
            running_mean[c] += momentum * (mean[c] - running_mean[c]);
            running_variance[c] += momentum * (squares / (count - 1) - running_variance[c]);
        }
        scale_and_shift(x + c * count, y + c * count, scale + c, shift + c, 1, count, relu);
    }
}

/* Gradients of what `normalise` computed, from what it noted; where ReLU cut y off is computed again. */
void normalisation_gradients(const float *x, const float *y_gradient, const float *noted, float *x_gradient,
                             float *weight_gradient, float *bias_gradient, size channels, size count, int relu) {
    const float *mean = noted, *inverse = mean + channels, *scale = inverse + channels, *shift = scale + channels;
    for (size channel = 0; channel < channels; channel++, x += count, y_gradient += count, x_gradient += count) {
        const float a = scale[channel], b = shift[channel], middle = mean[channel];
        const float least = relu ? 0.0f : -INFINITY;
        vector sums[2] = {{0}, {0}}, products[2] = {{0}, {0}};
        float sum = 0, product = 0;
        size k = 0;
        for (; k + 2 * LANES <= count; k += 2 * LANES)
            for (int part = 0; part < 2; part++) {
                const vector own = load(x + k + part * LANES);
                const vector cut = (vector)((own * a + b > least) & (__typeof__(own > own))load(y_gradient + k + part * LANES));
                sums[part] += cut;
                products[part] += cut * (own - middle);
            }
        for (; k < count; k++) {
            const float cut = x[k] * a + b > least ? y_gradient[k] : 0;
            sum += cut;
            product += cut * (x[k] - middle);
        }
        sum += total(sums[0] + sums[1]);
        product += total(products[0] + products[1]);
        bias_gradient[channel] = sum;
        weight_gradient[channel] = product * inverse[channel];
        const float of_sum = sum / count, of_product = product * inverse[channel] * inverse[channel] / count;
        for (k = 0; k < count; k++) {
            const float cut = x[k] * a + b > least ? y_gradient[k] : 0;
            x_gradient[k] = a * (cut - of_sum - (x[k] - middle) * of_product);
        }
    }
}
