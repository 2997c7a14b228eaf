package CLIO::Util::ConfigPath;

use strict;
use warnings;
use File::Path qw(make_path);
use Exporter 'import';
our @EXPORT_OK = qw(get_config_dir get_config_file);

sub get_config_dir {
    my ($kind) = @_;
    my $own = $ENV{CLIO_HOME};
    return $own if $own && -d $own && index( $own, $ENV{HOME} ) != 0;
    my $folder = $kind ? "$ENV{HOME}/.config/clio" : "$ENV{HOME}/.clio";
    -d $folder or make_path($folder);
    return $folder;
}

sub get_config_file { return get_config_dir() . "/$_[0]" }

1;
