/*
 * Runs a fuzz target over every file of the directories given, where there is no
 * libFuzzer. Exit 1 when a directory holds nothing: a corpus that is lost tests nothing.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input lies in an allocation of exactly its size. False: not a file. */
static int replay_file(const char *path)
{
	struct stat st;
	FILE *f = fopen(path, "rb");

	if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
		if (f)
			fclose(f);
		return 0;
	}
	size_t size = (size_t)st.st_size;
	uint8_t *data = malloc(size ? size : 1);
	if (!data || fread(data, 1, size, f) != size)
		abort();
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

static unsigned replay_directory(const char *directory)
{
	char path[PATH_MAX];
	unsigned count = 0;
	struct dirent *entry;
	DIR *d = opendir(directory);

	while (d && (entry = readdir(d)) != NULL) {
		int n = snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		if (n > 0 && (size_t)n < sizeof path)
			count += (unsigned)replay_file(path);
	}
	if (d)
		closedir(d);
	return count;
}

int main(int argc, char **argv)
{
	int failed = argc < 2;

	for (int i = 1; i < argc; i++) {
		unsigned count = replay_directory(argv[i]);
		printf("%s: %u inputs\n", argv[i], count);
		failed |= count == 0;
	}
	return failed;
}
