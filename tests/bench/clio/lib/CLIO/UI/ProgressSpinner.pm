package CLIO::UI::ProgressSpinner;

use strict;
use warnings;

our $status = 0;

sub new { return bless {}, shift }

sub start {
    my ($self) = @_;
    $self->{child} = fork;
    if ( !$self->{child} ) {
        $SIG{TERM} = 'DEFAULT';
        while (1) { print "\x{280b}\b\x{2819}\b"; select undef, undef, undef, 0.1 }
    }
    return $self;
}

sub stop {
    my ($self) = @_;
    return unless $self->{child};
    select undef, undef, undef, 0.15;
    kill TERM => $self->{child};
    waitpid $self->{child}, 0;
    $status = $? & 127;
    print "\b \b";
    return;
}

1;
