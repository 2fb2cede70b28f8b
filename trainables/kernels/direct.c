/* Direct convolutions that skip pruned weights, and batch-norm with ReLU, on one core of a CPU.

   Activations lie in memory as (channels, height, width, batch): whatever a weight is multiplied with is contiguous over
   the batch, and for stride 1 over a whole row, so that a single weight makes full vectors of work. So it costs nothing
   to leave out any weight, and channels may be as few as they like. Every output is summed in the same order
   whatever else is in the stack. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

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

/* A part of the outputs of a convolution, or of the gradients of its inputs, in which the same taps lie inside the
   image: trainables/kernels/convolution.py makes it, in this order, of 64 bits each.

   The taps of channel c are numbers start[c] to start[c + 1]. Each reads the pixel `offset` for the first output of the
   part, and multiplies it with the weight at `place`. Rows consist of segments that are contiguous in what is read; all
   sizes are in pixels, each of which is a whole batch. */
typedef struct {
    const int32_t *start, *offset, *place;
    size channels, of_model, at, rows, segments, length, x_row, x_segment, y_channel, y_row, y_segment;
} Part;

#define SUMS(COUNT)                                                                                        \
    static inline void sums_##COUNT(const Part *part, size channel, const float *x, float *y, const float *weights,      \
                                    size batch) {                                                          \
        vector sum[COUNT];                                                                                 \
        for (int k = 0; k < COUNT; k++) sum[k] = (vector){0};                                              \
        for (int32_t tap = part->start[channel]; tap < part->start[channel + 1]; tap++) {                  \
            const float *own = x + part->offset[tap] * batch, weight = weights[part->place[tap]];          \
            for (int k = 0; k < COUNT; k++) sum[k] += weight * load(own + k * LANES);                      \
        }                                                                                                  \
        for (int k = 0; k < COUNT; k++) *(vector *)(y + k * LANES) = sum[k];                               \
    }
SUMS(8)
SUMS(4)
SUMS(2)
SUMS(1)

static inline void sum_scalars(const Part *part, size channel, const float *x, float *y, const float *weights,
                               size batch, size count) {
    for (size k = 0; k < count; k++) {
        float sum = 0;
        for (int32_t tap = part->start[channel]; tap < part->start[channel + 1]; tap++)
            sum += weights[part->place[tap]] * x[part->offset[tap] * batch + k];
        y[k] = sum;
    }
}

static void convolve_part(const Part *part, const float *x, float *y, const float *weights, size batch) {
    const size length = part->length * batch, channels = part->channels, of_model = part->of_model;
    for (size model = 0; model < channels; model += of_model)
        for (size row = 0; row < part->rows; row++)
            for (size segment = 0; segment < part->segments; segment++)
                for (size at = 0, step; at < length; at += step) {
                    const size left = length - at;
                    const float *own = x + (row * part->x_row + segment * part->x_segment) * batch + at;
                    float *out = y + (part->at + row * part->y_row + segment * part->y_segment) * batch + at;
                    step = LANES * WIDEST;
                    while (step > left && step > LANES) step /= 2;
                    if (step > left) step = left;
                    for (size channel = model; channel < model + of_model; channel++) {
                        float *here = out + channel * part->y_channel * batch;
                        if (step == 8 * LANES) sums_8(part, channel, own, here, weights, batch);
                        else if (step == 4 * LANES) sums_4(part, channel, own, here, weights, batch);
                        else if (step == 2 * LANES) sums_2(part, channel, own, here, weights, batch);
                        else if (step == LANES) sums_1(part, channel, own, here, weights, batch);
                        else sum_scalars(part, channel, own, here, weights, batch, step);
                    }
                }
}

/* Every output: the sum over its channel's taps. */
void convolve(const Part *parts, size count, const float *x, float *y, const float *weights, size batch) {
    for (size each = 0; each < count; each++) convolve_part(parts + each, x, y, weights, batch);
}

/* Four taps at a time, over some rows at a time, so that the gradient is read once and stays near. */
static void weight_gradients_of_part(const Part *part, const float *x, const float *y_gradient, float *gradient,
                                     size batch) {
    const size length = part->length * batch, row_floats = part->segments * length, rows = part->rows;
    if (!row_floats) return;
    const size at_once = row_floats < NEAR ? NEAR / row_floats : 1;
    for (size from = 0; from < rows; from += at_once) {
        const size to = from + at_once < rows ? from + at_once : rows;
        for (size channel = 0; channel < part->channels; channel++)
            for (int32_t tap = part->start[channel], last = part->start[channel + 1]; tap < last; tap += 4) {
                const int count = last - tap < 4 ? last - tap : 4;
                const float *read[4];
                for (int k = 0; k < 4; k++) read[k] = x + part->offset[tap + (k < count ? k : 0)] * batch;
                vector sum[4] = {{0}, {0}, {0}, {0}};
                float rest[4] = {0, 0, 0, 0};
                for (size row = from; row < to; row++)
                    for (size segment = 0; segment < part->segments; segment++) {
                        const size place = channel * part->y_channel + part->at;
                        const float *own =
                            y_gradient + (place + row * part->y_row + segment * part->y_segment) * batch;
                        const size at = (row * part->x_row + segment * part->x_segment) * batch;
                        size k = 0;
                        for (; k + LANES <= length; k += LANES) {
                            const vector here = load(own + k);
                            for (int which = 0; which < 4; which++) sum[which] += here * load(read[which] + at + k);
                        }
                        for (; k < length; k++)
                            for (int which = 0; which < 4; which++) rest[which] += own[k] * read[which][at + k];
                    }
                for (int k = 0; k < count; k++) gradient[part->place[tap + k]] += total(sum[k]) + rest[k];
            }
    }
}

/* Adds to the gradient of every weight that is a tap: the sum of the output's gradient times what the tap read. */
void weight_gradients(const Part *parts, size count, const float *x, const float *y_gradient, float *gradient,
                      size batch) {
    for (size each = 0; each < count; each++) weight_gradients_of_part(parts + each, x, y_gradient, gradient, batch);
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
        for (int which = 0; which < 4; which++) sum[which] += load(x + k + which * LANES);
    for (; k < count; k++) rest += x[k];
    return total((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

static inline float squares_around(const float *x, size count, float middle) {
    vector sum[4] = {{0}, {0}, {0}, {0}};
    float rest = 0;
    size k = 0;
    for (; k + 4 * LANES <= count; k += 4 * LANES)
        for (int which = 0; which < 4; which++) {
            const vector from = load(x + k + which * LANES) - middle;
            sum[which] += from * from;
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

/* Largest or mean value of squares of `side` x `side` pixels, each a whole batch, that do not overlap. NaN is largest. */
void pool(const float *x, float *y, size batch, size channels, size rows, size columns, size side, size x_rows,
          size x_columns, int largest) {
    const float share = largest ? 1 : 1.0f / (side * side);
    for (size channel = 0; channel < channels; channel++)
        for (size row = 0; row < rows; row++)
            for (size column = 0; column < columns; column++, y += batch) {
                const float *corner = x + ((channel * x_rows + row * side) * x_columns + column * side) * batch;
                for (size tap = 0; tap < side * side; tap++) {
                    const float *own = corner + (tap / side * x_columns + tap % side) * batch;
                    if (tap == 0)
                        for (size k = 0; k < batch; k++) y[k] = share * own[k];
                    else if (largest)
                        for (size k = 0; k < batch; k++) y[k] = own[k] > y[k] || own[k] != own[k] ? own[k] : y[k];
                    else
                        for (size k = 0; k < batch; k++) y[k] += share * own[k];
                }
            }
}

/* Adds the gradient of what `pool` computed to that of its input: all of it to the first of the largest, or to each its
   share. `left` is memory for a batch. */
void pool_gradient(const float *x, const float *y, const float *y_gradient, float *x_gradient, float *left, size batch,
                   size channels, size rows, size columns, size side, size x_rows, size x_columns, int largest) {
    const float share = 1.0f / (side * side);
    for (size channel = 0; channel < channels; channel++)
        for (size row = 0; row < rows; row++)
            for (size column = 0; column < columns; column++, y += batch, y_gradient += batch) {
                const size corner = ((channel * x_rows + row * side) * x_columns + column * side) * batch;
                for (size k = 0; k < batch; k++) left[k] = y_gradient[k];
                for (size tap = 0; tap < side * side; tap++) {
                    const size at = corner + (tap / side * x_columns + tap % side) * batch;
                    if (largest)
                        for (size k = 0; k < batch; k++) {
                            const int is_it = x[at + k] == y[k] || x[at + k] != x[at + k];
                            x_gradient[at + k] += is_it ? left[k] : 0;
                            left[k] = is_it ? 0 : left[k];
                        }
                    else
                        for (size k = 0; k < batch; k++) x_gradient[at + k] += share * y_gradient[k];
                }
            }
}
