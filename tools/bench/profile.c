/* A TCG plugin for QEMU: counts the instructions of what is to be measured.

   Arguments: symbols=FILE, lines of "start end native" in hexadecimal, sorted; count=ADDRESS, words
   of RAM: storing to the first begins what is counted, storing to the second ends it, storing to the
   fourth forgets it, storing to the fifth leaves it at that; out=FILE. (QEMU does not report the readings of the board's counter, a device,
   when it counts instructions itself.)

   Writes lines of "owner symbol instructions": the lines' numbers, -1 for what lies in no symbol.
   The owner is the native function (native = 1) that ran last, so a function of the runtime is
   charged to the function on whose behalf it works.

   The prototypes are those of QEMU's TCG plugin interface, of which distributions ship no header. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
typedef uint32_t mem_info;
struct block;
struct insn;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern struct insn *qemu_plugin_tb_get_insn(const struct block *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct insn *);
extern void qemu_plugin_register_vcpu_insn_exec_cb(
    struct insn *, void (*)(unsigned, void *), int flags, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct insn *,
    void (*)(unsigned, mem_info, uint64_t, void *), int flags, int rw, void *);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);

/* QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_W */
enum { no_registers = 0, stores = 2 };

int qemu_plugin_version = PLUGIN_VERSION;

struct symbol {
    uint64_t start, end;
    int native;
};

static struct symbol *symbols;
static size_t n_symbols;
static uint64_t count;
static const char *out_path;
static uint64_t *counts; /* by owner + 1 and symbol + 1 */
static size_t owner;
static int active, done;

static size_t find(uint64_t at) {
    size_t low = 0, high = n_symbols;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (symbols[middle].end <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < n_symbols && symbols[low].start <= at ? low + 1 : 0;
}

static void executed(unsigned cpu, void *data) {
    size_t symbol = (uintptr_t)data;
    if (!active) {
        return;
    }
    if (symbol == 0 || symbols[symbol - 1].native) {
        owner = symbol;
    }
    counts[owner * (n_symbols + 1) + symbol]++;
}

static void stored(unsigned cpu, mem_info info, uint64_t address, void *data) {
    if (done) {
        return;
    }
    if (address == count) {
        active = 1;
        owner = 0;
    } else if (address == count + 4) {
        active = 0;
    } else if (address == count + 16) {
        done = 1;
    } else if (address == count + 12) {
        memset(counts, 0, (n_symbols + 1) * (n_symbols + 1) * sizeof *counts);
    }
}

static void translated(plugin_id id, struct block *block) {
    size_t n = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < n; i++) {
        struct insn *insn = qemu_plugin_tb_get_insn(block, i);
        size_t symbol = find(qemu_plugin_insn_vaddr(insn));
        qemu_plugin_register_vcpu_insn_exec_cb(
            insn, executed, no_registers, (void *)(uintptr_t)symbol);
        qemu_plugin_register_vcpu_mem_cb(insn, stored, no_registers, stores, NULL);
    }
}

static void at_exit(plugin_id id, void *data) {
    FILE *out = fopen(out_path, "w");
    if (!out) {
        return;
    }
    for (size_t a = 0; a <= n_symbols; a++) {
        for (size_t s = 0; s <= n_symbols; s++) {
            uint64_t n = counts[a * (n_symbols + 1) + s];
            if (n) {
                fprintf(out, "%ld %ld %lu\n", (long)a - 1, (long)s - 1, (unsigned long)n);
            }
        }
    }
    fclose(out);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    FILE *file = NULL;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "symbols=", 8)) {
            file = fopen(argv[i] + 8, "r");
        } else if (!strncmp(argv[i], "count=", 6)) {
            count = strtoull(argv[i] + 6, NULL, 16);
        } else if (!strncmp(argv[i], "out=", 4)) {
            out_path = strdup(argv[i] + 4);
        }
    }
    if (!file || !out_path) {
        return -1;
    }
    struct symbol symbol;
    while (fscanf(file, "%lx %lx %d", &symbol.start, &symbol.end, &symbol.native) == 3) {
        symbols = realloc(symbols, (n_symbols + 1) * sizeof *symbols);
        symbols[n_symbols++] = symbol;
    }
    fclose(file);
    counts = calloc((n_symbols + 1) * (n_symbols + 1), sizeof *counts);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
