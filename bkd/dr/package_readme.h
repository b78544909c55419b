// What stands in README.txt of an evidence package: how somebody without bkd verifies it, in English and Chinese.
#ifndef BKD_DR_PACKAGE_README_H
#define BKD_DR_PACKAGE_README_H

extern const char package_readme[];

#endif
