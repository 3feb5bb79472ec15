/* A tile unit (Intel AMX) in software: runs machine code with tile instructions on any x86-64 Linux.

   A processor without tiles raises SIGILL at each of their instructions. The handler here decodes it from the
   bytes at RIP, does on this thread's tiles what Intel's manual (Software Developer's Manual, volume 2, the
   pages of the instructions) says in pseudo-code, and lets the thread go on behind it. What a tile unit would
   refuse ends the process with a message. Memory that cannot be read or written faults as it would.

   TDPBF16PS as documented: even and odd elements of a row summed apart by fused multiply-adds, the two sums
   added, then added to the destination; all roundings to nearest even, denormal inputs taken as zero, denormal
   results made zero. A processor may differ in how it orders the sum within one instruction. */

#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };
enum { NONE, P66, PF3, PF2 }; /* VEX.pp */

typedef struct {
    int palette;
    int rows[TILES], bytes[TILES];
    uint8_t data[TILES][ROWS][ROW_BYTES];
} Unit;

/* Initial-exec: no memory is allocated on the first access from a handler but what `unit` asks for. */
static __thread Unit *mine __attribute__((tls_model("initial-exec")));
static long long emulated, products, configured;
static struct sigaction before;

static _Noreturn void refuse(const char *why, const uint8_t *code) {
    fprintf(stderr, "tile unit: %s; instruction", why);
    for (int i = 0; i < 9; i++) fprintf(stderr, " %02x", code[i]);
    fprintf(stderr, "\n");
    abort();
}

static Unit *unit(void) {
    if (!mine && !(mine = calloc(1, sizeof *mine))) abort();
    return mine;
}

/* One decoded instruction. tile: the register of ModRM; stride: of tiles in memory. */
typedef struct {
    int pp, opcode, is_register, tile, other, third, length;
    uint8_t *address;
    int64_t stride;
} Instruction;

static int64_t general(const ucontext_t *context, int number) {
    static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                   REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return context->uc_mcontext.gregs[places[number]];
}

/* VEX.128.0F38.W0, three bytes long: C4, ~R ~X ~B 00010, 0 ~vvvv 0 pp. False for anything else. */
static int decode(const ucontext_t *context, const uint8_t *code, Instruction *found) {
    if (code[0] != 0xC4 || (code[1] & 0x1F) != 2 || (code[2] & 0x84) != 0) return 0;
    int r = !(code[1] & 0x80), x = !(code[1] & 0x40), b = !(code[1] & 0x20);
    int modrm = code[4], mod = modrm >> 6, rm = modrm & 7;
    const uint8_t *at = code + 5;
    found->pp = code[2] & 3;
    found->opcode = code[3];
    found->is_register = mod == 3;
    found->tile = (modrm >> 3 & 7) | r << 3;
    found->other = rm | b << 3;
    found->third = ~(code[2] >> 3) & 15;
    found->address = NULL;
    found->stride = 0;
    if (mod != 3) {
        int64_t base = 0, from_next = 0, displacement = 0;
        int wide = mod == 2;
        if (rm == 4) { /* a SIB byte: its index is the stride */
            int sib = *at++, index = (sib >> 3 & 7) | x << 3;
            if (index != 4) found->stride = general(context, index) << (sib >> 6);
            if ((sib & 7) == 5 && mod == 0) wide = 1;
            else base = general(context, (sib & 7) | b << 3);
        } else if (rm == 5 && mod == 0) {
            wide = from_next = 1;
        } else {
            base = general(context, rm | b << 3);
        }
        if (wide) {
            int32_t value;
            memcpy(&value, at, 4);
            displacement = value;
            at += 4;
        } else if (mod == 1) {
            displacement = (int8_t)*at++;
        }
        if (from_next) base = (int64_t)at;
        found->address = (uint8_t *)(base + displacement);
    }
    found->length = (int)(at - code);
    return 1;
}

static void load_shapes(Unit *u, const uint8_t *from, const uint8_t *code) {
    uint8_t shapes[64];
    memcpy(shapes, from, 64);
    if (u->palette) __atomic_sub_fetch(&configured, 1, __ATOMIC_SEQ_CST);
    memset(u, 0, sizeof *u);
    if (shapes[0] == 0) return;
    if (shapes[0] != 1) refuse("a palette other than 0 and 1", code);
    for (int i = 1; i < 16; i++)
        if (shapes[i]) refuse("bytes 1 to 15 of the shapes are not zero", code);
    for (int t = 0; t < 16; t++) {
        int bytes = shapes[16 + 2 * t] | shapes[17 + 2 * t] << 8, rows = shapes[48 + t];
        if (t >= TILES && (bytes || rows)) refuse("a shape for a tile that does not exist", code);
        if (bytes > ROW_BYTES || rows > ROWS) refuse("a tile larger than 16 rows of 64 bytes", code);
        if (!bytes != !rows) refuse("a tile with rows but no bytes, or bytes but no rows", code);
        if (t < TILES) u->bytes[t] = bytes, u->rows[t] = rows;
    }
    u->palette = 1;
    __atomic_add_fetch(&configured, 1, __ATOMIC_SEQ_CST);
}

static void store_shapes(const Unit *u, uint8_t *to) {
    memset(to, 0, 64);
    to[0] = (uint8_t)u->palette;
    for (int t = 0; t < TILES; t++) to[16 + 2 * t] = (uint8_t)u->bytes[t], to[48 + t] = (uint8_t)u->rows[t];
}

static void check_tile(const Unit *u, int tile, const uint8_t *code) {
    if (!u->palette) refuse("tiles are not configured", code);
    if (tile >= TILES) refuse("a tile that does not exist", code);
    if (!u->rows[tile]) refuse("a tile without a shape", code);
}

static void move_tile(Unit *u, const Instruction *i, int to_memory) {
    int t = i->tile;
    if (!to_memory) memset(u->data[t], 0, sizeof u->data[t]);
    for (int row = 0; row < u->rows[t]; row++) {
        uint8_t *at = i->address + row * i->stride;
        if (to_memory) memcpy(at, u->data[t][row], u->bytes[t]);
        else memcpy(u->data[t][row], at, u->bytes[t]);
    }
}

static float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* Denormal numbers as zeros; without a branch, so that the compiler makes vectors of it. */
static float flushed(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return as_float(bits & 0x7F800000 ? bits : bits & 0x80000000);
}

/* c += a * b of row m: all its sums beside each other, each in the order of the instruction. */
static void multiply_row_bf16(float *c, const uint8_t (*a)[ROW_BYTES], const uint8_t (*b)[ROW_BYTES], int m,
                              int columns, int pairs) {
    float halves[2][ROW_BYTES / 4] = {{0}};
    for (int k = 0; k < pairs; k++) {
        uint32_t word, words[ROW_BYTES / 4];
        memcpy(&word, &a[m][4 * k], 4), memcpy(words, b[k], ROW_BYTES);
        float low = flushed(as_float(word << 16)), high = flushed(as_float(word & 0xFFFF0000));
        for (int n = 0; n < ROW_BYTES / 4; n++) {
            float other = flushed(as_float(words[n] << 16)), above = flushed(as_float(words[n] & 0xFFFF0000));
            halves[0][n] = flushed(fmaf(low, other, halves[0][n]));
            halves[1][n] = flushed(fmaf(high, above, halves[1][n]));
        }
    }
    for (int n = 0; n < columns; n++) c[n] = flushed(flushed(c[n]) + flushed(halves[0][n] + halves[1][n]));
}

static void multiply_row_int8(uint32_t *c, const uint8_t (*a)[ROW_BYTES], const uint8_t (*b)[ROW_BYTES], int m,
                              int columns, int quads, int a_signed, int b_signed) {
    for (int n = 0; n < columns; n++)
        for (int k = 0; k < 4 * quads; k++) {
            int x = a[m][k], y = b[k / 4][4 * n + k % 4];
            if (a_signed) x = (int8_t)x;
            if (b_signed) y = (int8_t)y;
            c[n] += (uint32_t)(x * y);
        }
}

static void multiply(Unit *u, const Instruction *i, const uint8_t *code) {
    int c = i->tile, a = i->other, b = i->third;
    check_tile(u, a, code), check_tile(u, b, code), check_tile(u, c, code);
    if (a == b || a == c || b == c) refuse("a product of tiles that are not three different ones", code);
    if (u->bytes[a] % 4 || u->bytes[b] % 4 || u->bytes[c] % 4) refuse("rows that are not whole numbers", code);
    if (u->rows[a] != u->rows[c] || u->bytes[b] != u->bytes[c] || u->bytes[a] != 4 * u->rows[b])
        refuse("shapes that do not fit each other", code);
    int rows = u->rows[c], columns = u->bytes[c] / 4;
    for (int m = 0; m < ROWS; m++) {
        uint8_t *row = u->data[c][m];
        if (m >= rows) memset(row, 0, ROW_BYTES);
        else memset(row + 4 * columns, 0, ROW_BYTES - 4 * columns);
    }
    for (int m = 0; m < rows; m++) {
        union { float as_bf16[ROW_BYTES / 4]; uint32_t as_int8[ROW_BYTES / 4]; } sums;
        memcpy(&sums, u->data[c][m], sizeof sums);
        if (i->opcode == 0x5C)
            multiply_row_bf16(sums.as_bf16, u->data[a], u->data[b], m, columns, u->rows[b]);
        else /* TDPBSSD F2, TDPBSUD F3, TDPBUSD 66, TDPBUUD none */
            multiply_row_int8(sums.as_int8, u->data[a], u->data[b], m, columns, u->rows[b],
                              i->pp == PF2 || i->pp == PF3, i->pp == PF2 || i->pp == P66);
        memcpy(u->data[c][m], &sums, 4 * columns);
    }
    __atomic_add_fetch(&products, 1, __ATOMIC_RELAXED);
}

/* Whether it was an instruction of the tile unit. */
static int execute(const Instruction *i, const uint8_t *code) {
    Unit *u = unit();
    if (i->opcode == 0x49 && !i->is_register && i->tile == 0 && i->pp == NONE) {
        load_shapes(u, i->address, code);
    } else if (i->opcode == 0x49 && !i->is_register && i->tile == 0 && i->pp == P66) {
        store_shapes(u, i->address);
    } else if (i->opcode == 0x49 && i->is_register && i->tile == 0 && i->other == 0 && i->pp == NONE) {
        if (u->palette) __atomic_sub_fetch(&configured, 1, __ATOMIC_SEQ_CST);
        memset(u, 0, sizeof *u); /* TILERELEASE */
    } else if (i->opcode == 0x49 && i->is_register && i->other == 0 && i->pp == PF2) {
        check_tile(u, i->tile, code);
        memset(u->data[i->tile], 0, sizeof u->data[i->tile]);
    } else if (i->opcode == 0x4B && !i->is_register && i->pp != NONE && (code[4] & 7) == 4) {
        check_tile(u, i->tile, code); /* TILELOADD F2, TILELOADDT1 66, TILESTORED F3 */
        move_tile(u, i, i->pp == PF3);
    } else if (i->is_register && ((i->opcode == 0x5C && i->pp == PF3) || i->opcode == 0x5E)) {
        multiply(u, i, code);
    } else {
        return 0;
    }
    return 1;
}

static void handle(int number, siginfo_t *info, void *opaque) {
    (void)number, (void)info;
    ucontext_t *context = opaque;
    const uint8_t *code = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];
    Instruction instruction;
    int done = 0;
    /* Those that follow are executed at once: a signal takes longer than one of them. */
    for (; decode(context, code, &instruction) && execute(&instruction, code); done++) code += instruction.length;
    if (!done) refuse("an illegal instruction that is none of the tile unit's", code);
    __atomic_add_fetch(&emulated, done, __ATOMIC_RELAXED);
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)code;
}

int tile_unit_install(void) {
    struct sigaction action = {0};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGILL, &action, &before);
}

int tile_unit_remove(void) { return sigaction(SIGILL, &before, NULL); }

/* Instructions and products so far; threads whose tiles are configured. */
long long tile_unit_emulated(void) { return __atomic_load_n(&emulated, __ATOMIC_SEQ_CST); }
long long tile_unit_products(void) { return __atomic_load_n(&products, __ATOMIC_SEQ_CST); }
long long tile_unit_configured(void) { return __atomic_load_n(&configured, __ATOMIC_SEQ_CST); }
