// The core of matrix_tile.glsl on matrix units, for mixed precision: the variants of
// the products' shaders that are compiled with FACTOR, bfloat16_t or float16_t.
//
// The subgroups of a workgroup divide its tile into regions, and compute a region in
// blocks of the units' shape. Both factors are rounded to bfloat16 and staged as 16-bit
// numbers; sums are float32. Units for float16_t get the bfloat16 factors scaled by
// powers of two, one for all of A and one for all of B, that are such that the largest
// factor of the workgroup so far lies below 2¹⁶: then factors down to 2⁻²⁷ of the
// largest are exact, smaller ones lose bits. If a step has much larger factors, the
// scale becomes smaller and the sums with it.
#ifndef MATRIX_UNITS_GLSL
#define MATRIX_UNITS_GLSL

#ifdef SCALED
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#else
#extension GL_EXT_bfloat16 : require
#endif
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require

const uint SUBGROUPS = THREADS / SUBGROUP_SIZE;
const uint BLOCKS_M = BM / SUBGROUPS_M / UNIT_M; // blocks of a subgroup's region
const uint BLOCKS_N = BN / (SUBGROUPS / SUBGROUPS_M) / UNIT_N;

#define BLOCK_A coopmat<FACTOR, gl_ScopeSubgroup, UNIT_M, UNIT_K, gl_MatrixUseA>
#define BLOCK_B coopmat<FACTOR, gl_ScopeSubgroup, UNIT_K, UNIT_N, gl_MatrixUseB>
#define BLOCK_C coopmat<float, gl_ScopeSubgroup, UNIT_M, UNIT_N, gl_MatrixUseAccumulator>

// A staged tile holds quads of factors: along K it is [m][k/4], any other is [k][m/4],
// with padding after each row against bank conflicts.
const uint PITCH_A = (A_ALONG_K ? BK : BM) / 4 + 2;
const uint PITCH_B = (B_ALONG_K ? BK : BN) / 4 + 2;
const uint SIZE_A = (A_ALONG_K ? BM : BK) * PITCH_A;
const uint SIZE_B = (B_ALONG_K ? BN : BK) * PITCH_B;
shared uvec2 tile_a[2 * SIZE_A];
shared uvec2 tile_b[2 * SIZE_B];

// Rows of blocks of C, on their way from the subgroups to the threads.
const uint PITCH_C = BN / 4 + 1;
shared vec4 rows_of_c[UNIT_M * PITCH_C];

#ifdef SCALED
// Exponents of floats, 0 to 255: a factor with exponent e is scaled to TARGET.
const uint TARGET = 140; // 2¹³ to 2¹⁴
const uint HEADROOM = 2;
const uint LEAST = 14; // of e, so that all powers of two below are normal numbers
uint exponent_a, exponent_b;
shared uvec2 largest_of[2 * SUBGROUPS]; // factor of A and of B, as bits

float power_of_two(uint exponent) { return uintBitsToFloat(exponent << 23); }

uint largest(uint most, vec4 v) {
    uvec4 bits = floatBitsToUint(v) & 0x7fffffffu;
    return max(max(most, max(bits.x, bits.y)), max(bits.z, bits.w));
}

// Adapts an exponent to the largest factor of a step. Returns by how much it grew.
uint adapt(inout uint exponent, uint bits) {
    uint e = clamp(bits >> 23, LEAST, 254), before = exponent;
    exponent = e > exponent + HEADROOM ? e : exponent;
    return exponent - before;
}

// Adapts the exponents to the factors of a step. Returns the sums' change of scale.
float adapt_scales(uint step) {
    uvec2 most = uvec2(0);
    [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
        most.x = largest(most.x, next_a[v]);
    }
    [[unroll]] for (uint v = 0; v < LOADS_B; v++) {
        most.y = largest(most.y, next_b[v]);
    }
    most = subgroupMax(most);
    if (subgroupElect()) {
        largest_of[step * SUBGROUPS + gl_SubgroupID] = most;
    }
    barrier();
    most = uvec2(0);
    [[unroll]] for (uint s = 0; s < SUBGROUPS; s++) {
        most = max(most, largest_of[step * SUBGROUPS + s]);
    }
    uint grew = adapt(exponent_a, most.x) + adapt(exponent_b, most.y);
    return grew > 126 ? 0.0 : power_of_two(127 - grew);
}

uvec2 packed(vec4 v, uint exponent) {
    v *= power_of_two(127 + TARGET - exponent);
    return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
}

// Returns the power of two that undoes half of the scale.
float half_unscale(uint part) {
    uint both = exponent_a + exponent_b + 2 * (127 - TARGET); // biased twice
    return power_of_two((both + part) / 2);
}

vec4 unscaled(vec4 v) { return v * half_unscale(0) * half_unscale(1); }
#else
const uint exponent_a = 0, exponent_b = 0;
float adapt_scales(uint step) { return 1.0; }

uvec2 packed(vec4 v, uint exponent) {
    uvec4 bits = floatBitsToUint(v);
    return bits.xz >> 16 | bits.yw & 0xffff0000u;
}

vec4 unscaled(vec4 v) { return v; }
#endif

uint position(uvec2 at, bool along_k, uint pitch) { return along_k ? at.x * pitch + at.y / 4 : at.y * pitch + at.x / 4; }

// Stages the loaded vec4s. Returns the change of the sums' scale.
float stage_tiles(uint step) {
    [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
        next_a[v] = MASK_A ? masked(next_a[v], valid_a[v]) : next_a[v];
        if (ROW_SUMS) {
            row_parts[v] += next_a[v];
        }
        next_a[v] = round_bfloat16(next_a[v]);
    }
    [[unroll]] for (uint v = 0; v < LOADS_B; v++) {
        next_b[v] = round_bfloat16(MASK_B ? masked(next_b[v], valid_b[v]) : next_b[v]);
    }
    float change = adapt_scales(step);
    [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
        if (QUADS_A % THREADS == 0 || v * THREADS + gl_LocalInvocationID.x < QUADS_A) {
            tile_a[step * SIZE_A + position(place_a(v), A_ALONG_K, PITCH_A)] = packed(next_a[v], exponent_a);
        }
    }
    [[unroll]] for (uint v = 0; v < LOADS_B; v++) {
        if (QUADS_B % THREADS == 0 || v * THREADS + gl_LocalInvocationID.x < QUADS_B) {
            tile_b[step * SIZE_B + position(place_b(v), B_ALONG_K, PITCH_B)] = packed(next_b[v], exponent_b);
        }
    }
    return change;
}

// Where the subgroup's region begins in the tile.
uint region_m() { return gl_SubgroupID % SUBGROUPS_M * (BLOCKS_M * UNIT_M); }
uint region_n() { return gl_SubgroupID / SUBGROUPS_M * (BLOCKS_N * UNIT_N); }

// Computes A·B over k in [k0, k1) for the tile at (m0, n0), in accumulator. k0 is a
// multiple of BK, and so is k1 unless it is the end of K.
void multiply_tile(uint m0, uint n0, uint k0, uint k1) {
    BLOCK_C sums[BLOCKS_M * BLOCKS_N];
    [[unroll]] for (uint i = 0; i < BLOCKS_M * BLOCKS_N; i++) {
        sums[i] = BLOCK_C(0.0);
    }
    [[unroll]] for (uint v = 0; v < (ROW_SUMS ? LOADS_A : 0); v++) {
        row_parts[v] = vec4(0.0);
    }
#ifdef SCALED
    exponent_a = LEAST;
    exponent_b = LEAST;
#endif
    begin_tiles(m0, n0, k0);
    load_tiles(m0, n0, k0);
    uint step = 0;
    for (uint k = k0; k < k1; k += BK) {
        float change = stage_tiles(step);
        if (change != 1.0) {
            [[unroll]] for (uint i = 0; i < BLOCKS_M * BLOCKS_N; i++) {
                sums[i] *= change;
            }
        }
        barrier(); // all threads have read the other step and written this one
        if (k + BK < k1) {
            load_tiles(m0, n0, k + BK);
        }
        [[unroll]] for (uint kk = 0; kk < BK; kk += UNIT_K) {
            BLOCK_A a[BLOCKS_M];
            [[unroll]] for (uint i = 0; i < BLOCKS_M; i++) {
                uint at = step * SIZE_A + position(uvec2(region_m() + i * UNIT_M, kk), A_ALONG_K, PITCH_A);
                if (A_ALONG_K) {
                    coopMatLoad(a[i], tile_a, at, PITCH_A, gl_CooperativeMatrixLayoutRowMajor);
                } else {
                    coopMatLoad(a[i], tile_a, at, PITCH_A, gl_CooperativeMatrixLayoutColumnMajor);
                }
            }
            [[unroll]] for (uint j = 0; j < BLOCKS_N; j++) {
                BLOCK_B b;
                uint at = step * SIZE_B + position(uvec2(region_n() + j * UNIT_N, kk), B_ALONG_K, PITCH_B);
                if (B_ALONG_K) {
                    coopMatLoad(b, tile_b, at, PITCH_B, gl_CooperativeMatrixLayoutColumnMajor);
                } else {
                    coopMatLoad(b, tile_b, at, PITCH_B, gl_CooperativeMatrixLayoutRowMajor);
                }
                [[unroll]] for (uint i = 0; i < BLOCKS_M; i++) {
                    sums[i * BLOCKS_N + j] = coopMatMulAdd(a[i], b, sums[i * BLOCKS_N + j]);
                }
            }
        }
        step = 1 - step;
    }
    // The threads take their parts of C from the subgroups, a row of blocks at a time.
    [[unroll]] for (uint row = 0; row < BM; row += UNIT_M) {
        [[unroll]] for (uint i = 0; i < BLOCKS_M; i++) {
            if (region_m() + i * UNIT_M == row) {
                [[unroll]] for (uint j = 0; j < BLOCKS_N; j++) {
                    coopMatStore(sums[i * BLOCKS_N + j], rows_of_c, (region_n() + j * UNIT_N) / 4, PITCH_C,
                                 gl_CooperativeMatrixLayoutRowMajor);
                }
            }
        }
        barrier();
        [[unroll]] for (uint i = 0; i < TM; i++) {
            uint m = row_of(i / 4) + i % 4;
            if (m / UNIT_M == row / UNIT_M) {
                [[unroll]] for (uint q = 0; q < TN / 4; q++) {
                    accumulator[i * (TN / 4) + q] = unscaled(rows_of_c[m % UNIT_M * PITCH_C + col_of(q) / 4]);
                }
            }
        }
        barrier(); // shared memory is free again
    }
}

// Shared memory for the parts of row_sums, two uvec2s for a vec4.
void stage_row_part(uint at, vec4 v) {
    tile_a[2 * at] = floatBitsToUint(v.xy);
    tile_a[2 * at + 1] = floatBitsToUint(v.zw);
}

vec4 staged_row_part(uint at) { return uintBitsToFloat(uvec4(tile_a[2 * at], tile_a[2 * at + 1])); }

#endif
