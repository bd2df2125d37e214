/* What it finds in a cell: an answer to each argument. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int copy(FILE *from) {
    int c;
    while ((c = getc(from)) != EOF)
        putchar(c);
    return ferror(from) != 0;
}

static int read_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) {
        puts(errno == ENOENT ? "no-entry" : strerror(errno));
        return 0;
    }
    return copy(file) | fclose(file);
}

static int by_name(const struct dirent **one, const struct dirent **other) {
    return strcmp((*one)->d_name, (*other)->d_name);
}

static int list(const char *path) {
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, by_name);
    for (int i = 0; i < count; i++)
        if (entries[i]->d_name[0] != '.')
            printf("%s%s\n", entries[i]->d_name, entries[i]->d_type == DT_DIR ? "/" : "");
    return count < 0;
}

static void refused(const char *what, int result) {
    printf("%s: %s\n", what, result >= 0 ? "done" : errno == EROFS ? "read-only" : strerror(errno));
}

static int writes(void) {
    refused("create", open("/new", O_CREAT | O_WRONLY, 0666));
    refused("write", open("/etc/motd", O_WRONLY));
    refused("mkdir", mkdir("/dir", 0777));
    refused("remove", unlink("/etc/motd"));
    refused("rename", rename("/etc/motd", "/motd"));
    return 0;
}

static int upper(void) {
    int c;
    while ((c = getchar()) != EOF)
        putchar(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return 0;
}

static int clocks(void) {
    struct timespec before, after, nap = {0, 2000000};
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&nap, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long long slept = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    printf("after 2020: %s\n", time(NULL) > 1577836800 ? "yes" : "no");
    printf("slept: %s\n", slept >= 2000000 ? "yes" : "no");
    return 0;
}

static int random_bytes(void) {
    unsigned char one[16] = {0}, other[16] = {0};
    if (getentropy(one, sizeof one) || getentropy(other, sizeof other))
        return 1;
    printf("differ: %s\n", memcmp(one, other, sizeof one) ? "yes" : "no");
    return 0;
}

/* The compiler must not make a loop of it. */
static int deep(volatile int depth) {
    volatile int below = depth ? deep(depth - 1) : 0;
    return below + 1;
}

static int answer(const char *what, const char *word) {
    if (!strcmp(what, "say"))
        return puts(word) < 0;
    if (!strcmp(what, "read"))
        return read_file(word);
    if (!strcmp(what, "list"))
        return list(word);
    if (!strcmp(what, "write"))
        return writes();
    if (!strcmp(what, "stdin"))
        return upper();
    if (!strcmp(what, "clock"))
        return clocks();
    if (!strcmp(what, "random"))
        return random_bytes();
    if (!strcmp(what, "deep"))
        return printf("deep %d\n", deep(atoi(word)) - 1) < 0;
    if (!strcmp(what, "fail")) {
        fputs("as asked\n", stderr);
        exit(atoi(word));
    }
    return 1;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *what = strtok(argv[i], " ");
        const char *word = strtok(NULL, "");
        if (answer(what, word ? word : ""))
            return 1;
    }
    return 0;
}
